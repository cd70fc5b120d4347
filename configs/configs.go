// Package configs holds the configuration files that come with Schakel, so that
// programs and tests use the same bytes that a reader of this folder sees.
package configs

import _ "embed"

// Client is client.toml: every setting of the client, with its meaning.
//
//go:embed client.toml
var Client []byte

// Scenario is demo/scenario.toml: the fictional case of the demonstration and of
// the end-to-end test.
//
//go:embed demo/scenario.toml
var Scenario []byte

// RedisConf is redis/redis.conf: Redis as the relay demands it.
//
//go:embed redis/redis.conf
var RedisConf []byte

// RedisUsers is redis/users.acl: the rights of the relay and of who loads its
// functions. Two words stand where the SHA-256 of the passwords belong.
//
//go:embed redis/users.acl
var RedisUsers []byte

// Agreement is agreement.toml: what partners may agree on beside the protocol.
//
//go:embed agreement.toml
var Agreement []byte

// Playbook is playbook.toml: the draaiboek, and what the outage card says.
//
//go:embed playbook.toml
var Playbook []byte

// RedisReplicated is redis/replicated.conf: a primary, or its replica.
//
//go:embed redis/replicated.conf
var RedisReplicated []byte

// RedisCluster is redis/cluster.conf: a node of a cluster.
//
//go:embed redis/cluster.conf
var RedisCluster []byte

// RedisSentinel is redis/sentinel.conf: who lets a replica take over.
//
//go:embed redis/sentinel.conf
var RedisSentinel []byte

// Nginx is nginx/schakel-relay.conf: nginx in front of several relays. The addresses
// in it are those that are for examples.
//
//go:embed nginx/schakel-relay.conf
var Nginx []byte

// HAProxy is haproxy/schakel-relay.cfg: the same with HAProxy.
//
//go:embed haproxy/schakel-relay.cfg
var HAProxy []byte

// Rota is rota.toml: the rota of a desk, with every key.
//
//go:embed rota.toml
var Rota []byte

// Alerts is alerts.yml: rules for Prometheus about a relay that pages.
//
//go:embed alerts.yml
var Alerts []byte

// AlertsDesk is alerts-desk.yml: rules for Prometheus about a desk's daemon.
//
//go:embed alerts-desk.yml
var AlertsDesk []byte
