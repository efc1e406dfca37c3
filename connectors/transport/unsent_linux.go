package transport

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// unsent is how many bytes that were written the other side's system has not taken yet; 0 where nobody knows.
func unsent(conn net.Conn) (n int) {
	sc, ok := raw(conn).(syscall.Conn)
	if !ok {
		return 0
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return 0
	}
	_ = rc.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	if err != nil {
		return 0
	}
	return n
}
