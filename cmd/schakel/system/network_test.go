//go:build linux

package system_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// ownNetwork is set in a process that runs one test in a network of its own: to the folder
// of the process that started it, in which the programs and the template are.
const ownNetwork = "SCHAKEL_TEST_OWN_NETWORK"

// apart reports whether this process is in a network of its own. Otherwise it runs the
// test again in one that has nothing but what the test makes, and ends with it: whatever
// happens, nothing stays on this machine.
func apart(t *testing.T) bool {
	t.Helper()
	if os.Getenv(ownNetwork) != "" {
		for _, line := range []string{"ip link set lo up", "nft add table inet cut", "nft add table ip nat"} {
			shell(t, line)
		}
		return true
	}
	needNetworks(t)
	must[programs](t)(honest())
	must[string](t)(template())
	again := []string{"-test.v", "-test.count=1", "-test.run=^" + t.Name() + "$"}
	flag.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "full", "seed", "line-cuts", "test.artifacts", "test.outputdir", "test.timeout":
			again = append(again, "-"+f.Name+"="+f.Value.String())
		}
	})
	cmd := inNewNetwork(os.Args[0], again...)
	cmd.Env = append(os.Environ(), ownNetwork+"="+workshop)
	out, err := cmd.CombinedOutput()
	t.Logf("in a network of its own:\n%s", out)
	if err != nil {
		t.Error(err)
	}
	if err == nil && !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Error("it did not pass there")
	}
	return false
}

// inNewNetwork is a program in a network that ends with it.
func inNewNetwork(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// needNetworks skips the test where nobody may make networks, and fails it instead when
// SCHAKEL_TEST_NEED_NETWORKS is set.
func needNetworks(t testing.TB) {
	t.Helper()
	var missing error
	for _, program := range []string{"ip", "nft", "nsenter"} {
		_, err := exec.LookPath(program)
		missing = errors.Join(missing, err)
	}
	if missing == nil {
		out, err := inNewNetwork("sh", "-ec", "ip link set lo up; ip link add a type veth peer name b; nft add table inet cut; nft add table ip nat; "+
			"nft 'add chain ip nat output { type nat hook output priority -100; }'; nsenter --net=/proc/$$/ns/net true").CombinedOutput()
		if err != nil {
			missing = fmt.Errorf("%w: %s", err, out)
		}
	}
	const how = "apt-get install iproute2 nftables, and root"
	switch {
	case missing == nil:
	case os.Getenv("SCHAKEL_TEST_NEED_NETWORKS") != "":
		t.Fatalf("SCHAKEL_TEST_NEED_NETWORKS is set: %v: %s", missing, how)
	default:
		t.Skipf("NOT TESTED: networks that are cut need %s: %v", how, missing)
	}
}

// network is a network beside that of the test, as long as its process lives.
type network struct {
	t      testing.TB
	holder *exec.Cmd
}

// newNetwork makes a network that is joined to nothing.
func newNetwork(t testing.TB) *network {
	t.Helper()
	n := &network{t: t, holder: inNewNetwork("sleep", "86400")}
	if err := n.holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = n.holder.Process.Kill()
		_ = n.holder.Wait()
	})
	n.run("ip link set lo up")
	n.run("nft add table inet cut")
	n.run("nft add table ip nat")
	return n
}

// join lays a line between this network and the other: here and there are its addresses,
// and name is what both call it.
func (n *network) join(name, here, there string) {
	n.t.Helper()
	shell(n.t, fmt.Sprintf("ip link add %s type veth peer name %s netns %d", name, name, n.holder.Process.Pid))
	shell(n.t, fmt.Sprintf("ip addr add %s/30 dev %s", here, name))
	shell(n.t, "ip link set "+name+" up")
	n.run(fmt.Sprintf("ip addr add %s/30 dev %s", there, name))
	n.run("ip link set " + name + " up")
}

// within is the command line by which a program runs in the network. A program that is in
// none runs where the test does.
func (n *network) within(program string, args ...string) (string, []string) {
	if n == nil {
		return program, args
	}
	return "nsenter", append([]string{n.place(), program}, args...)
}

func (n *network) place() string { return fmt.Sprintf("--net=/proc/%d/ns/net", n.holder.Process.Pid) }

// run runs a command of the operator in the network.
func (n *network) run(line string) {
	n.t.Helper()
	shell(n.t, "nsenter "+n.place()+" "+line)
}

// drop loses every packet on a line in some directions, "input" and "output" as the
// network sees them, without a word to anybody. The function it returns ends that.
func (n *network) drop(name string, directions ...string) (heal func()) {
	n.t.Helper()
	way := map[string]string{"input": "iifname", "output": "oifname"}
	for _, d := range directions {
		n.run(fmt.Sprintf("nft 'add chain inet cut %s { type filter hook %s priority 0; }'", d, d))
		n.run(fmt.Sprintf("nft add rule inet cut %s %s %s drop", d, way[d], name))
	}
	return func() {
		n.t.Helper()
		n.run("nft flush table inet cut")
	}
}

// shell runs a command line, which must succeed.
func shell(t testing.TB, line string) {
	t.Helper()
	if out, err := exec.Command("sh", "-c", line).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", line, err, out)
	}
}
