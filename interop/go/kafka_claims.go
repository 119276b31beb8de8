package main

import (
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/Shopify/sarama"
	"github.com/micro/go-plugins/broker/kafka/v2"
)

// claims knows which partitions this process reads.
//
// The plug-in returns from Subscribe before it has joined, and then starts at the newest offset: what is published in
// between is not for it. It tells nobody when that is over. The Kafka client's own log does, a line for each partition
// whose first offset is known; so nothing of ours need be published to the topic to find it out.
type claims struct {
	client string
	mutex  sync.Mutex
	live   map[string]int
}

// watchClaims must be called before the first subscription.
func watchClaims() *claims {
	made := &claims{
		client: fmt.Sprintf("go-peer-%d-%d", os.Getpid(), time.Now().UnixNano()),
		live:   map[string]int{},
	}
	sarama.Logger = made
	// Only to find this process among the members of a queue; all else stays as the plug-in has it.
	kafka.DefaultClusterConfig.ClientID = made.client
	return made
}

// Printf takes the lines on partitions out of the Kafka client's log. The format is that of the version in go.mod.
func (c *claims) Printf(format string, values ...interface{}) {
	if strings.HasPrefix(format, "consumer/broker/%d ") && len(values) >= 3 {
		partition := fmt.Sprintf("%v/%v", values[1], values[2])
		c.mutex.Lock()
		if strings.Contains(format, " added subscription ") {
			c.live[partition]++
		} else {
			c.live[partition]--
		}
		c.mutex.Unlock()
	}
}

// Print says nothing: what matters is told by the plug-in, too.
func (c *claims) Print(...interface{}) {}

// Println says nothing.
func (c *claims) Println(...interface{}) {}

// ready is printed when a subscription has begun to read all that is its own, and anew whenever that changes.
type ready struct {
	Event      string  `json:"event"`
	Topic      string  `json:"topic"`
	Queue      string  `json:"queue"`
	Members    int     `json:"members"`
	Partitions []int32 `json:"partitions"`
}

// tell prints a ready line whenever the partitions of this process have changed and it reads them all.
func (c *claims) tell(address, topic, queue string) {
	config := sarama.NewConfig()
	config.Version = sarama.V0_10_2_0
	admin, err := sarama.NewClusterAdmin([]string{address}, config)
	if err != nil {
		fatal(err.Error())
	}
	last := ""
	for ; ; time.Sleep(50 * time.Millisecond) {
		groups, err := admin.DescribeConsumerGroups([]string{queue})
		if err != nil || len(groups) != 1 || groups[0].State != "Stable" {
			continue
		}
		now := ready{Event: "ready", Topic: topic, Queue: queue, Members: len(groups[0].Members), Partitions: []int32{}}
		member := false
		for _, other := range groups[0].Members {
			if other.ClientId != c.client {
				continue
			}
			assignment, err := other.GetMemberAssignment()
			if err != nil {
				fatal(err.Error())
			}
			member = true
			now.Partitions = append(now.Partitions, assignment.Topics[topic]...)
		}
		sort.Slice(now.Partitions, func(a, b int) bool { return now.Partitions[a] < now.Partitions[b] })
		if line := fmt.Sprint(now); member && line != last && c.reads(topic, now.Partitions) {
			last = line
			say(now)
		}
	}
}

func (c *claims) reads(topic string, partitions []int32) bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for _, partition := range partitions {
		if c.live[fmt.Sprintf("%v/%v", topic, partition)] < 1 {
			return false
		}
	}
	return true
}
