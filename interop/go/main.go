// Command peer is a go-micro v2.9.1 program for the Rust side to talk with.
//
//	peer server -name greeter [-registry mdns] [-address 127.0.0.1:0]
//	peer client -name greeter [-registry mdns] [-address host:port] CASE...
//	peer get    -name greeter
//	peer watch  -name greeter
//	peer bench  -name bench -registry memory -address host:port,host:port -rate 2000 -callers 16
//
// and over Kafka, whose address is in -kafka or MICRO_TEST_KAFKA:
//
//	peer kafka-publish   -topic TOPIC [-count 1] [-header NAME=VALUE]... [-body TEXT]
//	peer kafka-subscribe -topic TOPIC [-queue QUEUE]
//	peer kafka-event     -topic TOPIC -name NAME [-count 1] [-header NAME=VALUE]... [-content-type TYPE]
//	peer kafka-service   [-struct TOPIC] [-func TOPIC] [-queue QUEUE]
//
// Everything it has to say is one JSON object a line on standard output; go-micro's own log goes to standard error.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
)

const usage = `usage: peer server|client|get|watch -name SERVICE [-registry mdns|memory|etcd=HOST:PORT|consul=…|nats=…|zookeeper=…] [-address host:port] [CASE...]
       peer kafka-publish|kafka-subscribe|kafka-event|kafka-service -kafka host:port (-h lists the rest)`

func main() {
	if len(os.Args) < 2 {
		fatal(usage)
	}
	command, arguments := os.Args[1], os.Args[2:]
	// go-micro reads os.Args for flags of its own.
	os.Args = os.Args[:1]
	// go-micro prints its log by fmt.Printf.
	os.Stdout = os.Stderr
	options := parse(command, arguments)
	var err error
	switch command {
	case "server":
		err = serve(options)
	case "client":
		err = call(options)
	case "get":
		err = get(options)
	case "watch":
		err = watch(options)
	case "bench":
		err = bench(options)
	case "kafka-publish":
		err = kafkaPublish(options.kafka)
	case "kafka-subscribe":
		err = kafkaSubscribe(options.kafka)
	case "kafka-event":
		err = kafkaEvent(options)
	case "kafka-service":
		err = kafkaService(options)
	default:
		fatal(usage)
	}
	if err != nil {
		fatal(err.Error())
	}
}

var (
	lines  = os.Stdout
	output sync.Mutex
)

// say prints one line.
func say(line interface{}) {
	text, err := json.Marshal(line)
	if err != nil {
		fatal(err.Error())
	}
	output.Lock()
	defer output.Unlock()
	fmt.Fprintln(lines, string(text))
}

func fatal(text string) {
	fmt.Fprintln(os.Stderr, text)
	os.Exit(1)
}
