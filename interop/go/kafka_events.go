package main

import (
	"context"

	"github.com/micro/go-micro/v2"
	"github.com/micro/go-micro/v2/broker"
	"github.com/micro/go-micro/v2/client"
	"github.com/micro/go-micro/v2/metadata"
	"github.com/micro/go-micro/v2/server"

	"micro-rs/interop/pb"
)

// handled is one typed event as a subscriber has it.
type handled struct {
	Event       string            `json:"event"`
	By          string            `json:"by"`
	Name        string            `json:"name"`
	SleepMillis int64             `json:"sleep_millis"`
	Metadata    map[string]string `json:"metadata"`
}

// kafkaEvent publishes typed events as a service does.
func kafkaEvent(o options) error {
	connected, err := connect(o.kafka)
	if err != nil {
		return err
	}
	service := micro.NewService(micro.Name("go.peer.publisher"), micro.Registry(o.registry), micro.Broker(connected))
	service.Init()
	if o.kafka.contentType != "" {
		if err := service.Client().Init(client.ContentType(o.kafka.contentType)); err != nil {
			return err
		}
	}
	event := micro.NewEvent(o.kafka.topic, service.Client())
	for n := 0; n < o.kafka.count; n++ {
		ctx := context.Background()
		if o.kafka.headers != nil {
			ctx = metadata.NewContext(ctx, metadata.Metadata(o.kafka.headers))
		}
		request := &pb.Request{Name: string(numbered([]byte(o.name), n)), SleepMillis: int64(n)}
		if err := event.Publish(ctx, request); err != nil {
			return err
		}
	}
	say(map[string]interface{}{"event": "published", "count": o.kafka.count})
	return connected.Disconnect()
}

// noting remembers what the server subscribes to: a subscription without a queue has a group that only it knows.
type noting struct {
	broker.Broker
	subscribed func(broker.Subscriber)
}

func (n *noting) Subscribe(topic string, handler broker.Handler, options ...broker.SubscribeOption) (broker.Subscriber, error) {
	subscription, err := n.Broker.Subscribe(topic, handler, options...)
	if err == nil {
		n.subscribed(subscription)
	}
	return subscription, err
}

// Events is the struct whose methods are subscribers.
type Events struct{}

// Process prints an event.
func (*Events) Process(ctx context.Context, request *pb.Request) error {
	return tellEvent(ctx, "struct", request)
}

func byFunc(ctx context.Context, request *pb.Request) error {
	return tellEvent(ctx, "func", request)
}

func tellEvent(ctx context.Context, by string, request *pb.Request) error {
	seen, _ := metadata.FromContext(ctx)
	say(handled{Event: "event", By: by, Name: request.Name, SleepMillis: request.SleepMillis, Metadata: seen})
	return nil
}

// kafkaService subscribes to typed events until it is ended.
func kafkaService(o options) error {
	if o.kafka.structTopic == o.kafka.funcTopic {
		fatal("-struct and -func need topics of their own, or else nobody can tell which of them reads already")
	}
	live := watchClaims()
	connected, err := connect(o.kafka)
	if err != nil {
		return err
	}
	service := micro.NewService(
		micro.Name(o.name),
		micro.Address("127.0.0.1:0"),
		micro.Registry(o.registry),
		micro.Broker(&noting{Broker: connected, subscribed: func(subscription broker.Subscriber) {
			go live.tell(o.kafka.address, subscription.Topic(), subscription.Options().Queue)
		}}),
		micro.AfterStop(func() error {
			say(map[string]string{"event": "stopped"})
			return nil
		}),
	)
	service.Init()
	var options []server.SubscriberOption
	if o.kafka.queue != "" {
		options = append(options, server.SubscriberQueue(o.kafka.queue))
	}
	if o.kafka.structTopic != "" {
		if err := micro.RegisterSubscriber(o.kafka.structTopic, service.Server(), new(Events), options...); err != nil {
			return err
		}
	}
	if o.kafka.funcTopic != "" {
		if err := micro.RegisterSubscriber(o.kafka.funcTopic, service.Server(), byFunc, options...); err != nil {
			return err
		}
	}
	return service.Run()
}
