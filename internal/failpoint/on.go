//go:build failpoints

package failpoint

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

var passes atomic.Int64

// Hit ends the process with SIGKILL when place is the one that MILLSTREAM_FAILPOINT names and the count is reached.
func Hit(place string) {
	if place == InDrain && os.Getenv("MILLSTREAM_FAILPOINT_REPORT") != "" {
		fmt.Fprintf(os.Stderr, "failpoint: %d goroutines\n", runtime.NumGoroutine())
	}
	name, count, _ := strings.Cut(os.Getenv("MILLSTREAM_FAILPOINT"), ":")
	if name != place {
		return
	}
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil || n < 1 {
		n = 1
	}
	if passes.Add(1) == n {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}
