package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-micro/v2"
	"github.com/micro/go-micro/v2/registry"

	"micro-rs/interop/pb"
)

// book is what the callers saw since they were asked last.
type book struct {
	sync.Mutex
	latencies  []time.Duration
	failed     int
	lastFailed int64
}

// bench calls the nodes at the addresses with go-micro's client and its defaults, and answers each line of its input by what
// was seen since the last: calls, failed calls, seconds, median and 99th percentile in microseconds, and when the last
// failed, in milliseconds since 1970.
func bench(o options) error {
	record := &registry.Service{Name: o.name, Version: "latest"}
	for i, address := range strings.Split(o.address, ",") {
		record.Nodes = append(record.Nodes, &registry.Node{Id: fmt.Sprintf("%s-%d", o.name, i), Address: address})
	}
	if err := o.registry.Register(record); err != nil {
		return err
	}
	service := micro.NewService(micro.Name("go.peer.bench"), micro.Registry(o.registry))
	service.Init()
	client := service.Client()
	var seen book
	name := strings.Repeat("x", 100)
	for i := 0; i < o.callers; i++ {
		go func() {
			var ticks <-chan time.Time
			if o.rate > 0 {
				ticks = time.NewTicker(time.Second * time.Duration(o.callers) / time.Duration(o.rate)).C
			}
			for {
				if ticks != nil {
					<-ticks
				}
				request := client.NewRequest(o.name, "Echo.Unary", &pb.Request{Name: name})
				begin := time.Now()
				err := client.Call(context.Background(), request, new(pb.Response))
				took := time.Since(begin)
				seen.Lock()
				if err == nil {
					seen.latencies = append(seen.latencies, took)
				} else {
					seen.failed++
					seen.lastFailed = time.Now().UnixNano() / 1e6
				}
				seen.Unlock()
			}
		}()
	}
	since := time.Now()
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		seen.Lock()
		latencies, failed, last := seen.latencies, seen.failed, seen.lastFailed
		seen.latencies, seen.failed, seen.lastFailed = nil, 0, 0
		seen.Unlock()
		seconds := time.Since(since).Seconds()
		since = time.Now()
		sort.Slice(latencies, func(i, j int) bool { return latencies[i] < latencies[j] })
		at := func(share float64) float64 {
			if len(latencies) == 0 {
				return 0
			}
			return float64(latencies[int(float64(len(latencies))*share)]) / 1e3
		}
		fmt.Fprintln(lines, len(latencies)+failed, failed, seconds, at(0.5), at(0.99), last)
	}
	return nil
}
