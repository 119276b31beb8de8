package main

import (
	"github.com/micro/go-micro/v2/registry"
)

// get prints what the registry knows of a service, as the registry's own JSON.
func get(o options) error {
	services, err := o.registry.GetService(o.name)
	if err != nil {
		return err
	}
	say(services)
	return nil
}

// watch prints each change of a service until it is ended.
func watch(o options) error {
	watcher, err := o.registry.Watch(registry.WatchService(o.name))
	if err != nil {
		return err
	}
	defer watcher.Stop()
	say(map[string]string{"event": "watching"})
	for {
		change, err := watcher.Next()
		if err != nil {
			return err
		}
		say(change)
	}
}
