// Command b is the hand-written loop for the task that makes events, adds a member and sorts them into three sinks that lose them. The
// number of events is its argument. It knows the events' shape, renders each one's bytes, and drops them.
package main

import (
	"fmt"
	"log"
	"os"
	"strconv"
)

type event struct {
	device      string
	kind        string
	speed       float64
	temperature float64
	fahrenheit  float64
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("b COUNT")
	}
	count, err := strconv.Atoi(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	var sinks [3]int
	var buf []byte
	for n := range count {
		e := generate(n)
		e.fahrenheit = e.temperature*9/5 + 32
		buf = e.appendTo(buf[:0])
		sinks[sinkOf(e.kind)]++
	}
	fmt.Fprintln(os.Stderr, sinks)
}

func generate(n int) event {
	kind := "telemetry"
	if n%3 == 0 {
		kind = "alert"
	}
	return event{device: fmt.Sprintf("veh-%d", n%5000), kind: kind, speed: 72.5, temperature: 21.5}
}

func sinkOf(kind string) int {
	switch kind {
	case "alert":
		return 0
	case "telemetry":
		return 1
	}
	return 2
}

func (e *event) appendTo(b []byte) []byte {
	b = append(b, `{"device_id":`...)
	b = strconv.AppendQuote(b, e.device)
	b = append(b, `,"type":`...)
	b = strconv.AppendQuote(b, e.kind)
	b = append(b, `,"speed":`...)
	b = strconv.AppendFloat(b, e.speed, 'f', -1, 64)
	b = append(b, `,"temperature":`...)
	b = strconv.AppendFloat(b, e.temperature, 'f', -1, 64)
	b = append(b, `,"temp_f":`...)
	b = strconv.AppendFloat(b, e.fahrenheit, 'f', -1, 64)
	return append(b, '}')
}
