package main

import (
	"context"
	"io"
	"time"

	"github.com/micro/go-micro/v2"
	"github.com/micro/go-micro/v2/client"
	debug "github.com/micro/go-micro/v2/debug/service/proto"
	"github.com/micro/go-micro/v2/errors"
	"github.com/micro/go-micro/v2/metadata"

	"micro-rs/interop/pb"
)

// result is what one case gave.
type result struct {
	Case     string        `json:"case"`
	Response *pb.Response  `json:"response,omitempty"`
	Values   []int64       `json:"values,omitempty"`
	Messages []string      `json:"messages,omitempty"`
	Error    *errors.Error `json:"error,omitempty"`
	Text     string        `json:"text,omitempty"`
	Millis   int64         `json:"millis"`
}

type caller struct {
	options options
	client  client.Client
	service pb.GreeterService
}

func call(o options) error {
	service := micro.NewService(micro.Name("go.peer.client"), micro.Registry(o.registry))
	service.Init()
	c := caller{options: o, client: service.Client(), service: pb.NewGreeterService(o.name, service.Client())}
	cases := map[string]func(*result) error{
		"unary":        func(r *result) error { return c.greet(r, &pb.Request{Name: "John"}) },
		"metadata":     c.metadata,
		"not-found":    func(r *result) error { return c.greet(r, &pb.Request{Name: "not-found"}) },
		"conflict":     func(r *result) error { return c.greet(r, &pb.Request{Name: "conflict"}) },
		"too-many":     func(r *result) error { return c.greet(r, &pb.Request{Name: "too-many"}) },
		"plain":        func(r *result) error { return c.greet(r, &pb.Request{Name: "plain"}) },
		"panic":        func(r *result) error { return c.greet(r, &pb.Request{Name: "panic"}) },
		"deadline":     c.deadline,
		"json":         c.json,
		"no-endpoint":  c.noEndpoint,
		"stream":       func(r *result) error { return c.count(r, &pb.CountRequest{Count: 5}) },
		"stream-error": func(r *result) error { return c.count(r, &pb.CountRequest{Count: 2, Error: "no more"}) },
		"stream-leave": c.leave,
		"chat":         c.chat,
		"no-service":   c.noService,
		"debug":        c.debug,
	}
	for _, name := range o.cases {
		run, known := cases[name]
		if !known {
			fatal("unknown case " + name)
		}
		r := result{Case: name}
		begin := time.Now()
		if err := run(&r); err != nil {
			r.Text = err.Error()
			r.Error = errors.Parse(err.Error())
			if typed, ok := err.(*errors.Error); ok {
				r.Error = typed
			}
		}
		r.Millis = time.Since(begin).Milliseconds()
		say(r)
	}
	return nil
}

// with adds the address to the options of a call, if one is given.
func (c *caller) with(more ...client.CallOption) []client.CallOption {
	if c.options.address != "" {
		more = append(more, client.WithAddress(c.options.address))
	}
	return more
}

func (c *caller) greet(r *result, request *pb.Request) (err error) {
	r.Response, err = c.service.Greet(context.Background(), request, c.with()...)
	return err
}

func (c *caller) metadata(r *result) (err error) {
	ctx := metadata.NewContext(context.Background(), metadata.Metadata{"Tenant": "acme", "Foo_bar": "1"})
	r.Response, err = c.service.Greet(ctx, &pb.Request{Name: "John"}, c.with()...)
	return err
}

func (c *caller) deadline(r *result) (err error) {
	request := &pb.Request{Name: "sleep", SleepMillis: 30000}
	r.Response, err = c.service.Greet(context.Background(), request, c.with(client.WithRequestTimeout(300*time.Millisecond))...)
	return err
}

func (c *caller) json(r *result) error {
	request := c.client.NewRequest(c.options.name, "Greeter.Greet", &pb.Request{Name: "Jason"}, client.WithContentType("application/json"))
	r.Response = new(pb.Response)
	return c.client.Call(context.Background(), request, r.Response, c.with()...)
}

func (c *caller) noEndpoint(r *result) error {
	request := c.client.NewRequest(c.options.name, "Greeter.Nope", &pb.Request{Name: "John"})
	return c.client.Call(context.Background(), request, new(pb.Response), c.with()...)
}

func (c *caller) noService(r *result) error {
	_, err := pb.NewGreeterService(c.options.name+".nobody", c.client).Greet(context.Background(), &pb.Request{Name: "John"})
	return err
}

// debug asks what go-micro's own tools ask: health, statistics and the last lines of the log.
func (c *caller) debug(r *result) error {
	service := debug.NewDebugService(c.options.name, c.client)
	health, err := service.Health(context.Background(), &debug.HealthRequest{}, c.with()...)
	if err != nil {
		return err
	}
	stats, err := service.Stats(context.Background(), &debug.StatsRequest{}, c.with()...)
	if err != nil {
		return err
	}
	r.Values = []int64{int64(stats.Timestamp), int64(stats.Started), int64(stats.Memory), int64(stats.Threads), int64(stats.Requests)}
	r.Messages = []string{health.Status}
	stream, err := service.Log(context.Background(), &debug.LogRequest{Count: 100}, c.with()...)
	if err != nil {
		return err
	}
	defer stream.Close()
	for {
		record, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		r.Messages = append(r.Messages, record.Message)
	}
}

// count reads a server stream to its end. go-micro's client never half-closes it.
func (c *caller) count(r *result, request *pb.CountRequest) error {
	stream, err := c.service.Count(context.Background(), request, c.with()...)
	if err != nil {
		return err
	}
	defer stream.Close()
	for {
		response, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		r.Values = append(r.Values, response.Value)
	}
}

// leave goes away in the middle of a long stream.
func (c *caller) leave(r *result) error {
	stream, err := c.service.Count(context.Background(), &pb.CountRequest{Count: 1 << 40}, c.with()...)
	if err != nil {
		return err
	}
	for range [3]int{} {
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		r.Values = append(r.Values, response.Value)
	}
	return stream.Close()
}

// chat sends the next message only when the last one is answered.
func (c *caller) chat(r *result) error {
	stream, err := c.service.Chat(context.Background(), c.with()...)
	if err != nil {
		return err
	}
	for _, name := range []string{"one", "two", "three"} {
		if err := stream.Send(&pb.Request{Name: name}); err != nil {
			return err
		}
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		r.Messages = append(r.Messages, response.Msg)
	}
	return stream.Close()
}
