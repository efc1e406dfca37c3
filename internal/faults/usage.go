package faults

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Usage is what the engine's processes took.
type Usage struct {
	// RSSMax is the largest resident size of any of them.
	RSSMax int64 `json:"rss_max_kib,omitempty"`
	// CPU is what the processor spent on the last one.
	CPU float64 `json:"cpu_s,omitempty"`
	// Goroutines and Descriptors are those of the last one when it was told to end.
	Goroutines  int `json:"goroutines,omitempty"`
	Descriptors int `json:"descriptors,omitempty"`
	// LogLines is how much the last one had to say.
	LogLines int `json:"log_lines,omitempty"`
}

// sampler looks at processes ten times a second.
type sampler struct {
	mu   sync.Mutex
	most int64
	wg   sync.WaitGroup
}

// follow samples a process until it ends.
func (s *sampler) follow(p *Process) {
	s.wg.Go(func() {
		for !p.WaitExit(100 * time.Millisecond) {
			if kib := p.resident(); kib > 0 {
				s.mu.Lock()
				s.most = max(s.most, kib)
				s.mu.Unlock()
			}
		}
	})
}

func (s *sampler) peak() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most
}

// resident is the size of the process in memory, in KiB; 0 when it is gone.
func (p *Process) resident() int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kib, _ := strconv.ParseInt(fields[0], 10, 64)
	return kib
}

// clockTicks is what /proc counts a second of the processor in, on every architecture of Linux that Go runs on.
const clockTicks = 100

// CPU is how many seconds of the processor a running process has used.
func (p *Process) CPU() float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	at := bytes.LastIndexByte(b, ')')
	fields := strings.Fields(string(b[at+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / clockTicks
}

var reported = regexp.MustCompile(`failpoint: (\d+) goroutines`)

// goroutines is what a process that has ended said of itself when it began to drain.
func (p *Process) goroutines() int {
	most := 0
	for _, m := range reported.FindAllStringSubmatch(p.Log(), -1) {
		n, _ := strconv.Atoi(m[1])
		most = max(most, n)
	}
	return most
}
