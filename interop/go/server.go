package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/micro/go-micro/v2"
	microerrors "github.com/micro/go-micro/v2/errors"
	"github.com/micro/go-micro/v2/metadata"

	"micro-rs/interop/pb"
)

// bigNumber needs all 64 bits, so that a reader who takes it for a float shows itself.
const bigNumber = 18446744073709551615

type greeter struct{ service string }

func serve(o options) error {
	address := o.address
	if address == "" {
		address = "127.0.0.1:0"
	}
	var service micro.Service
	service = micro.NewService(
		micro.Name(o.name),
		micro.Version(o.version),
		micro.Address(address),
		micro.Registry(o.registry),
		micro.AfterStart(func() error {
			own := service.Server().Options()
			say(map[string]string{"event": "listening", "address": own.Address, "node": own.Name + "-" + own.Id})
			return nil
		}),
		micro.AfterStop(func() error {
			say(map[string]string{"event": "stopped"})
			return nil
		}),
	)
	service.Init()
	if err := pb.RegisterGreeterHandler(service.Server(), &greeter{service: o.name}); err != nil {
		return err
	}
	return service.Run()
}

func (g *greeter) Greet(ctx context.Context, request *pb.Request, response *pb.Response) error {
	switch request.Name {
	case "not-found":
		return microerrors.NotFound(g.service, "no such é%%")
	case "conflict":
		return microerrors.Conflict(g.service, "<exists> & stays")
	case "too-many":
		return microerrors.New(g.service, "slow down", 429)
	case "plain":
		return errors.New("plain error")
	case "panic":
		panic("boom")
	}
	g.describe(ctx, request, response)
	if request.SleepMillis > 0 {
		select {
		case <-time.After(time.Duration(request.SleepMillis) * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (g *greeter) Count(ctx context.Context, request *pb.CountRequest, stream pb.Greeter_CountStream) error {
	for value := int64(1); value <= request.Count; value++ {
		if err := stream.Send(&pb.CountResponse{Value: value}); err != nil {
			return err
		}
	}
	if request.Error != "" {
		return microerrors.NotFound(g.service, "%s", request.Error)
	}
	return nil
}

func (g *greeter) Sum(ctx context.Context, stream pb.Greeter_SumStream) error {
	var total pb.Total
	for {
		number, err := stream.Recv()
		if err == io.EOF {
			return stream.SendMsg(&total)
		}
		if err != nil {
			return err
		}
		total.Sum += number.Value
		total.Count++
	}
}

func (g *greeter) Chat(ctx context.Context, stream pb.Greeter_ChatStream) error {
	for {
		request, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if request.Name == "not-found" {
			return microerrors.NotFound(g.service, "the chat is over")
		}
		var response pb.Response
		g.describe(ctx, request, &response)
		if err := stream.Send(&response); err != nil {
			return err
		}
	}
}

func (g *greeter) describe(ctx context.Context, request *pb.Request, response *pb.Response) {
	response.Msg = "Hello " + request.Name
	response.BigNumber = bigNumber
	response.RemainingMillis = -1
	if deadline, ok := ctx.Deadline(); ok {
		response.RemainingMillis = time.Until(deadline).Milliseconds()
	}
	response.SeenMetadata = map[string]string{}
	if seen, ok := metadata.FromContext(ctx); ok {
		for name, value := range seen {
			response.SeenMetadata[name] = value
		}
	}
}
