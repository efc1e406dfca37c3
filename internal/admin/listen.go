package admin

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// folderName is the folder of sockets in a state directory. No pipeline has this name, since names have no dot.
const folderName = ".admin"

// longestPath is how long the path of a socket may be: the kernel has 108 bytes for it.
const longestPath = 100

// ListenSocket opens the socket of this process in a state directory, and makes the directories that are missing. The folder is open to the
// process's own user alone, and sockets that processes have left behind are removed. clean removes the socket, and the directories when
// nothing else is in them.
func ListenSocket(state, instance string) (l net.Listener, clean func(), err error) {
	made := missing(state)
	folder := filepath.Join(state, folderName)
	name := fmt.Sprintf("%s-%d.sock", fileName(instance), os.Getpid())
	for range 3 { // a process that ends may take the directories away
		if l, err = listenIn(folder, name); !errors.Is(err, os.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("open admin socket: %w", err)
	}
	return l, func() {
		_ = l.Close() // it may be closed already
		_ = os.Remove(filepath.Join(folder, name))
		_ = os.Remove(folder) // not while it holds others
		if made {
			_ = os.Remove(state)
		}
	}, nil
}

// old tells whether a file was made more than a moment ago.
func old(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && time.Since(info.ModTime()) > 2*time.Second
}

func missing(dir string) bool {
	_, err := os.Stat(dir)
	return errors.Is(err, os.ErrNotExist)
}

func listenIn(folder, name string) (net.Listener, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	if err := os.Chmod(folder, 0o700); err != nil { //nolint:gosec // a directory
		return nil, err
	}
	for _, left := range sockets(folder) {
		// One that was made a moment ago may not be listened on yet, unless it has this process's own name.
		if (left == name || old(filepath.Join(folder, left))) && !alive(folder, left) {
			_ = os.Remove(filepath.Join(folder, left))
		}
	}
	var l net.Listener
	err := reach(folder, name, func(path string) (err error) {
		l, err = net.Listen("unix", path) //nolint:noctx // it does not wait
		return err
	})
	if err != nil {
		return nil, err
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // the path that it knows may lead elsewhere by then
	}
	if err := os.Chmod(filepath.Join(folder, name), 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// fileName makes a file's name of an instance's.
func fileName(instance string) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '_'
	}, instance)
	return clean[:min(len(clean), 40)]
}

// reach calls use with a path of a socket that is short enough for the kernel.
func reach(folder, name string, use func(path string) error) error {
	path := filepath.Join(folder, name)
	if len(path) <= longestPath {
		return use(path)
	}
	if runtime.GOOS != "linux" {
		return fmt.Errorf("the path %s is too long for a socket: choose another --state", path)
	}
	dir, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // read only
	return use(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), name))
}

// sockets lists the sockets in a folder.
func sockets(folder string) []string {
	entries, _ := os.ReadDir(folder) // none
	var names []string
	for _, e := range entries {
		if e.Type()&os.ModeSocket != 0 && strings.HasSuffix(e.Name(), ".sock") {
			names = append(names, e.Name())
		}
	}
	return names
}

// alive tells whether somebody listens on a socket. Only a refusal shows that nobody does.
func alive(folder, name string) bool {
	err := reach(folder, name, func(path string) error {
		c, err := net.Dial("unix", path) //nolint:noctx // it does not wait
		if err == nil {
			err = c.Close()
		}
		return err
	})
	return !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, os.ErrNotExist)
}

// ListenLoopback listens on a TCP address of the loopback interface, and on no other: there is neither encryption nor a password.
func ListenLoopback(addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("%s is no address: write 127.0.0.1:PORT", addr)
	}
	ip, err := netip.ParseAddr(host)
	if host != "localhost" && (err != nil || !ip.Unmap().IsLoopback()) {
		return nil, fmt.Errorf("%s can be reached from outside, and there is neither encryption nor a password: write 127.0.0.1:PORT", addr)
	}
	if host == "localhost" {
		addr = strings.Replace(addr, "localhost", "127.0.0.1", 1) // whatever the name is made to mean
	}
	l, err := net.Listen("tcp", addr) //nolint:noctx // it does not wait
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return l, nil
}
