package schakel_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// stage lets an example use what is made for tests.
type stage struct {
	testing.TB
	ends []func()
}

func (s *stage) Helper()                   {}
func (s *stage) Fatal(args ...any)         { panic(fmt.Sprint(args...)) }
func (s *stage) Errorf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
func (s *stage) Cleanup(f func())          { s.ends = append(s.ends, f) }

func (s *stage) TempDir() string {
	dir, err := os.MkdirTemp("", "schakel-example-")
	if err != nil {
		panic(err)
	}
	s.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (s *stage) close() {
	for i := len(s.ends) - 1; i >= 0; i-- {
		s.ends[i]()
	}
}

// A question goes from Veilig Thuis to the knooppunt; a named person there takes it,
// and Veilig Thuis sees who.
func Example() {
	t := &stage{}
	defer t.close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	chain := schakeltest.New(t)
	vt := chain.Join("vt20/crisis", identity.RoleVeiligThuis)
	knooppunt := chain.Join("knooppunt/piket", identity.RoleKnooppunt)
	knooppunt.AddPerson("K. Nooppunt")
	vt.Start()
	knooppunt.Start()

	events, stop := vt.Node.Subscribe()
	defer stop()
	for desks, _ := vt.Node.Directory(ctx); len(desks) == 0 || !desks[0].Reachable; desks, _ = vt.Node.Directory(ctx) {
		<-events // the register arrives
	}
	question, _ := protocol.V1().Example("adviesvraag")
	sent, err := vt.Node.Send(ctx, schakel.Draft{
		Class: "adviesvraag", Urgency: message.Urgent, To: []identity.DeskID{"knooppunt/piket"}, Body: question.Body,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := vt.Node.Wait(ctx, sent.Hash, schakel.StateDelivered); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := knooppunt.Node.Acknowledge(ctx, sent.Hash, schakel.Acknowledgement{Person: "K. Nooppunt", PIN: schakeltest.PIN}); err != nil {
		fmt.Println(err)
		return
	}
	s, err := vt.Node.Wait(ctx, sent.Hash, schakel.StateAcknowledged)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range s.Recipients {
		fmt.Println(r.Desk, r.State, r.By)
	}
	// Output: knooppunt/piket bevestigd K. Nooppunt
}

// A draft that the protocol does not allow is refused before anything is sealed.
func ExampleNode_Send_refused() {
	t := &stage{}
	defer t.close()
	chain := schakeltest.New(t)
	buza := chain.Join("buza/consulair", identity.RoleBuza)
	chain.Join("vt20/crisis", identity.RoleVeiligThuis)
	buza.Start()
	events, stop := buza.Node.Subscribe()
	defer stop()
	for st, _ := buza.Node.Status(context.Background()); st.RegisterSize < 10; st, _ = buza.Node.Status(context.Background()) {
		<-events
	}
	_, err := buza.Node.Send(context.Background(), schakel.Draft{
		Class: "achterlatingssignaal", Urgency: message.Urgent, To: []identity.DeskID{"vt20/crisis"}, Body: []byte(`{}`),
	})
	fmt.Println(err)
	// Output: these desks may not write to each other: buza/consulair (buza) to vt20/crisis (veilig-thuis)
}
