package main

import (
	"encoding/base64"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/micro/go-micro/v2/registry"
	"github.com/micro/go-micro/v2/registry/etcd"
	"github.com/micro/go-micro/v2/registry/mdns"
	"github.com/micro/go-micro/v2/registry/memory"
	"github.com/micro/go-plugins/registry/consul/v2"
	"github.com/micro/go-plugins/registry/nats/v2"
	"github.com/micro/go-plugins/registry/zookeeper/v2"
)

type options struct {
	name     string
	version  string
	address  string
	registry registry.Registry
	cases    []string
	rate     int
	callers  int
	kafka    kafkaOptions
}

// kafkaOptions are those of the kafka- commands.
type kafkaOptions struct {
	address     string
	topic       string
	structTopic string
	funcTopic   string
	queue       string
	count       int
	contentType string
	// nil, as a body that is not given is null on the wire.
	body []byte
	// nil, as headers that are not given are null on the wire.
	headers pairs
}

// pairs is a flag that may be given many times, each NAME=VALUE.
type pairs map[string]string

func (p *pairs) String() string { return fmt.Sprint(map[string]string(*p)) }

func (p *pairs) Set(text string) error {
	name, value, found := strings.Cut(text, "=")
	if !found {
		return fmt.Errorf("%q is not NAME=VALUE", text)
	}
	if *p == nil {
		*p = pairs{}
	}
	(*p)[name] = value
	return nil
}

func parse(command string, arguments []string) options {
	var parsed options
	var kind string
	flags := flag.NewFlagSet(command, flag.ExitOnError)
	flags.StringVar(&parsed.name, "name", "greeter", "the service's name")
	if strings.HasPrefix(command, "kafka-") {
		kind = "memory"
		parsed.kafka.register(flags)
	} else {
		flags.StringVar(&parsed.version, "version", "latest", "the service's version")
		flags.StringVar(&parsed.address, "address", "", "where to listen, or whom to call past the registry")
		flags.StringVar(&kind, "registry", "mdns", "mdns, memory, or etcd, consul, nats or zookeeper with =host:port")
		flags.IntVar(&parsed.rate, "rate", 0, "bench: calls a second of all callers; 0 is as many as they can")
		flags.IntVar(&parsed.callers, "callers", 16, "bench: how many call at once")
	}
	_ = flags.Parse(arguments)
	parsed.cases = flags.Args()
	kind, server, _ := strings.Cut(kind, "=")
	switch kind {
	case "etcd":
		parsed.registry = etcd.NewRegistry(registry.Addrs(server))
	case "consul":
		parsed.registry = consul.NewRegistry(registry.Addrs(server))
	case "nats":
		parsed.registry = nats.NewRegistry(registry.Addrs(server))
	case "zookeeper":
		parsed.registry = zookeeper.NewRegistry(registry.Addrs(server))
	case "mdns":
		parsed.registry = mdns.NewRegistry()
	case "memory":
		parsed.registry = memory.NewRegistry()
	default:
		fatal("unknown registry " + kind + "; this program has mdns, memory, etcd, consul, nats and zookeeper")
	}
	return parsed
}

func (k *kafkaOptions) register(flags *flag.FlagSet) {
	flags.StringVar(&k.address, "kafka", os.Getenv("MICRO_TEST_KAFKA"), "host:port of a Kafka server; else MICRO_TEST_KAFKA")
	flags.StringVar(&k.topic, "topic", "", "publish to this topic, or subscribe to it")
	flags.StringVar(&k.structTopic, "struct", "", "kafka-service: the topic of a struct's methods")
	flags.StringVar(&k.funcTopic, "func", "", "kafka-service: the topic of a func")
	flags.StringVar(&k.queue, "queue", "", "subscribe as a member of this queue; none: everything")
	flags.IntVar(&k.count, "count", 1, "how many messages; {n} in -body and -name is the number of each, from 0")
	flags.StringVar(&k.contentType, "content-type", "", "kafka-event: another than go-micro's own")
	flags.Var(&k.headers, "header", "NAME=VALUE of a message's header or of an event's metadata; may be repeated")
	flags.Func("body", "a message's body as text; none: null", func(text string) error {
		k.body = []byte(text)
		return nil
	})
	flags.Func("body-base64", "a message's body as base64", func(text string) (err error) {
		k.body, err = base64.StdEncoding.DecodeString(text)
		return err
	})
}
