package main

import (
	"flag"

	"github.com/micro/go-micro/v2/registry"
	"github.com/micro/go-micro/v2/registry/mdns"
	"github.com/micro/go-micro/v2/registry/memory"
)

type options struct {
	name     string
	version  string
	address  string
	registry registry.Registry
	cases    []string
}

func parse(command string, arguments []string) options {
	var parsed options
	var kind string
	flags := flag.NewFlagSet(command, flag.ExitOnError)
	flags.StringVar(&parsed.name, "name", "greeter", "the service's name")
	flags.StringVar(&parsed.version, "version", "latest", "the service's version")
	flags.StringVar(&parsed.address, "address", "", "where to listen, or whom to call past the registry")
	flags.StringVar(&kind, "registry", "mdns", "mdns or memory")
	_ = flags.Parse(arguments)
	parsed.cases = flags.Args()
	switch kind {
	case "mdns":
		parsed.registry = mdns.NewRegistry()
	case "memory":
		parsed.registry = memory.NewRegistry()
	default:
		fatal("unknown registry " + kind + "; this program has mdns and memory")
	}
	return parsed
}
