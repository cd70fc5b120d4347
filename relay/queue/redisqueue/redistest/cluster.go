package redistest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"schakel/relay/queue/redisqueue"
)

// Cluster is a Redis Cluster of three primaries and a replica of each.
type Cluster struct {
	Nodes    []*Server // the first three began as primaries
	password string
}

const primaries = 3

// StartCluster starts six nodes below dir, joins them by the command of the
// handbook, and returns when all know of each other.
func StartCluster(dir string, settings ...string) (*Cluster, error) {
	password, err := passwordOf(dir)
	if err != nil {
		return nil, err
	}
	c := &Cluster{password: password}
	for i := range 2 * primaries {
		node, err := beside(dir, fmt.Sprintf("node-%d", i), clustered, password, settings)
		if err != nil {
			c.Stop()
			return nil, err
		}
		c.Nodes = append(c.Nodes, node)
	}
	args := []string{"--cluster", "create"}
	for _, node := range c.Nodes {
		args = append(args, node.Address)
	}
	if err := errors.Join(c.command(append(args, "--cluster-replicas", "1", "--cluster-yes")...), c.Settle()); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

// command runs Redis's own program as the operator.
func (c *Cluster) command(args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*patience)
	defer cancel()
	command := exec.CommandContext(ctx, "redis-cli", append([]string{"--user", operator, "--no-auth-warning"}, args...)...)
	command.Env = append(os.Environ(), "REDISCLI_AUTH="+c.password)
	command.SysProcAttr = tied()
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("failed to run redis-cli %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// Settle waits until all nodes that run see the whole cluster, and every replica
// follows its primary.
func (c *Cluster) Settle() error {
	return await("the cluster is whole", func() bool {
		for _, node := range c.Nodes {
			if node.running() && !node.whole() {
				return false
			}
		}
		return true
	})
}

// whole reports whether a node serves, and its own replication stands.
func (s *Server) whole() bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	client := s.Root()
	defer client.Close()
	state := client.ClusterInfo(ctx).Val()
	fields := s.Replication()
	return strings.Contains(state, "cluster_state:ok") && strings.Contains(state, "cluster_slots_ok:16384") &&
		strings.Contains(state, "cluster_known_nodes:6") &&
		(fields["master_link_status"] == "up" || strings.Contains(fields["slave0"], "state=online"))
}

// Owner returns the primary that has a slot, as a node that runs knows it.
func (c *Cluster) Owner(slot int) (*Server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, asked := range c.Nodes {
		if !asked.running() {
			continue
		}
		client := asked.Root()
		//lint:ignore SA1019 the shorter of two answers, and operators of 7.0 have both
		ranges, err := client.ClusterSlots(ctx).Result()
		client.Close()
		if err != nil {
			continue
		}
		for _, r := range ranges {
			if r.Start <= slot && slot <= r.End && len(r.Nodes) > 0 {
				return c.at(r.Nodes[0].Addr), nil
			}
		}
	}
	return nil, fmt.Errorf("nobody has slot %d", slot)
}

func (c *Cluster) at(address string) *Server {
	for _, node := range c.Nodes {
		if node.Address == address {
			return node
		}
	}
	return nil
}

// ReplicaOf returns the replica of a primary.
func (c *Cluster) ReplicaOf(primary *Server) *Server {
	for _, node := range c.Nodes {
		fields := node.Replication()
		if fields["role"] == "slave" && fields["master_host"]+":"+fields["master_port"] == primary.Address {
			return node
		}
	}
	return nil
}

// Reshard moves slots between primaries with Redis's own program, and returns when
// they have moved.
func (c *Cluster) Reshard(slots int, from, to *Server) error {
	fromID, err := from.nodeID()
	if err != nil {
		return err
	}
	toID, err := to.nodeID()
	if err != nil {
		return err
	}
	return c.command("--cluster", "reshard", to.Address, "--cluster-from", fromID, "--cluster-to", toID,
		"--cluster-slots", fmt.Sprint(slots), "--cluster-yes")
}

// nodeID is how the cluster names a node.
func (s *Server) nodeID() (string, error) {
	client := s.Root()
	defer client.Close()
	return client.ClusterMyID(context.Background()).Result()
}

// Move moves one slot as an operator would by hand, so many keys at a time, and
// calls between before every step: while some keys of the slot are here and others
// there.
func (c *Cluster) Move(slot, keys int, from, to *Server, between func()) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	source, target := from.Root(), to.Root()
	defer source.Close()
	defer target.Close()
	fromID, fromErr := from.nodeID()
	toID, toErr := to.nodeID()
	if err := errors.Join(fromErr, toErr,
		target.Do(ctx, "cluster", "setslot", slot, "importing", fromID).Err(),
		source.Do(ctx, "cluster", "setslot", slot, "migrating", toID).Err()); err != nil {
		return err
	}
	for {
		between()
		names, err := source.ClusterGetKeysInSlot(ctx, slot, keys).Result()
		if err != nil {
			return err
		}
		if len(names) == 0 {
			break
		}
		if err := source.Do(ctx, migration(to, names)...).Err(); err != nil {
			return err
		}
	}
	return errors.Join(target.Do(ctx, "cluster", "setslot", slot, "node", toID).Err(),
		source.Do(ctx, "cluster", "setslot", slot, "node", toID).Err())
}

func migration(to *Server, names []string) []any {
	host, port, _ := strings.Cut(to.Address, ":")
	args := []any{"migrate", host, port, "", 0, 10_000, "auth2", operator, to.password, "keys"}
	for _, name := range names {
		args = append(args, name)
	}
	return args
}

// SlotOf is where a key lies.
func (c *Cluster) SlotOf(key string) (int, error) {
	for _, node := range c.Nodes {
		if node.running() {
			client := node.Root()
			defer client.Close()
			slot, err := client.ClusterKeySlot(context.Background(), key).Result()
			return int(slot), err
		}
	}
	return 0, errors.New("no node runs")
}

// Config knows all nodes, and demands the confirmation of the replica.
func (c *Cluster) Config() redisqueue.Config {
	config := c.Nodes[0].Config()
	config.Address, config.Cluster, config.Replicas = addresses(c.Nodes), true, 1
	return config
}

// Stop ends all nodes.
func (c *Cluster) Stop() { stopAll(c.Nodes) }
