package page_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"testing"

	"schakel/relay/page/pagetest"
)

var quiet = log.New(io.Discard, "", 0)

func serverTLS(cert tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
}

// mailbox is a mail server whose every answer a test decides, and which keeps every
// byte that it was sent, within TLS and without.
type mailbox struct {
	Address string
	tls     *tls.Config
	offer   bool              // STARTTLS
	answers map[string]string // by verb, in place of the usual one

	mu   sync.Mutex
	said strings.Builder
	mail int
}

func newMailbox(t testing.TB, ca *pagetest.Authority, answers map[string]string) *mailbox {
	m := &mailbox{tls: serverTLS(ca.Issue("127.0.0.1")), offer: true, answers: answers}
	m.Address = serve(t, m.talk)
	return m
}

func (m *mailbox) talk(c net.Conn) {
	in := bufio.NewReader(io.TeeReader(c, m))
	reply := func(verb, usual string) bool {
		if own, ok := m.answers[verb]; ok {
			usual = own
		}
		_, err := io.WriteString(c, usual+"\r\n")
		return err == nil && !strings.HasPrefix(usual, "421")
	}
	ok := reply("greeting", "220 mail.example ESMTP")
	for ok {
		line, err := textproto.NewReader(in).ReadLine()
		if err != nil {
			return
		}
		verb := strings.ToUpper(strings.SplitN(line, " ", 2)[0])
		switch verb {
		case "EHLO":
			extensions := "250-mail.example\r\n250-8BITMIME\r\n"
			if _, secure := c.(*tls.Conn); m.offer && !secure {
				extensions += "250-STARTTLS\r\n"
			}
			ok = reply(verb, extensions+"250-AUTH PLAIN LOGIN\r\n250 SIZE 1000000")
		case "STARTTLS":
			if !reply(verb, "220 go") {
				return
			}
			secure := tls.Server(c, m.tls)
			if secure.Handshake() != nil {
				return
			}
			c, in = secure, bufio.NewReader(io.TeeReader(secure, m))
		case "AUTH":
			ok = reply(verb, "235 welcome")
		case "DATA":
			if ok = reply(verb, "354 go on"); !ok || m.answers[verb] != "" {
				continue
			}
			if _, err := textproto.NewReader(in).ReadDotBytes(); err != nil {
				return
			}
			m.mu.Lock()
			m.mail++
			m.mu.Unlock()
			ok = reply("end", "250 queued")
		case "QUIT":
			reply(verb, "221 bye")
			return
		default:
			ok = reply(verb, "250 fine")
		}
	}
}

// Write keeps what was read.
func (m *mailbox) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.said.Write(p)
}

// heard is every byte that came.
func (m *mailbox) heard() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.said.String()
}

func (m *mailbox) mails() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mail
}
