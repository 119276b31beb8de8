package main

import (
	"bytes"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/micro/go-micro/v2/broker"
	"github.com/micro/go-plugins/broker/kafka/v2"
)

// received is one message as a go-micro subscriber has it.
type received struct {
	Event  string            `json:"event"`
	Topic  string            `json:"topic"`
	Header map[string]string `json:"header"`
	// In base64; null stays null.
	Body []byte `json:"body"`
	// The body again, where it is text.
	Text string `json:"text,omitempty"`
}

// connect makes the plug-in's broker, as go-micro programs do: no option but the address.
func connect(o kafkaOptions) (broker.Broker, error) {
	if o.address == "" {
		fatal("no Kafka server: give -kafka host:port or set MICRO_TEST_KAFKA")
	}
	made := kafka.NewBroker(broker.Addrs(o.address))
	if err := made.Init(); err != nil {
		return nil, err
	}
	return made, made.Connect()
}

// kafkaPublish publishes without a service around it.
func kafkaPublish(o kafkaOptions) error {
	connected, err := connect(o)
	if err != nil {
		return err
	}
	for n := 0; n < o.count; n++ {
		if err := connected.Publish(o.topic, &broker.Message{Header: o.headers, Body: numbered(o.body, n)}); err != nil {
			return err
		}
	}
	say(map[string]interface{}{"event": "published", "count": o.count})
	return connected.Disconnect()
}

// kafkaSubscribe prints what arrives until it is ended.
func kafkaSubscribe(o kafkaOptions) error {
	live := watchClaims()
	connected, err := connect(o)
	if err != nil {
		return err
	}
	var options []broker.SubscribeOption
	if o.queue != "" {
		options = append(options, broker.Queue(o.queue))
	}
	subscription, err := connected.Subscribe(o.topic, func(event broker.Event) error {
		message := event.Message()
		line := received{Event: "message", Topic: event.Topic(), Header: message.Header, Body: message.Body}
		if utf8.Valid(message.Body) {
			line.Text = string(message.Body)
		}
		say(line)
		return nil
	}, options...)
	if err != nil {
		return err
	}
	go live.tell(o.address, o.topic, subscription.Options().Queue)
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	<-ended
	// The client does not leave a queue that it cannot join.
	time.AfterFunc(10*time.Second, func() { fatal("the subscriber does not stop") })
	if err := subscription.Unsubscribe(); err != nil {
		return err
	}
	say(map[string]string{"event": "stopped"})
	return connected.Disconnect()
}

// numbered puts a message's number where {n} stands. nil stays nil, and empty stays empty.
func numbered(text []byte, n int) []byte {
	if len(text) == 0 {
		return text
	}
	return bytes.ReplaceAll(text, []byte("{n}"), []byte(strconv.Itoa(n)))
}
