package admin

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// Server serves one listener.
type Server struct {
	http  *http.Server
	ended chan struct{}
}

// How long requests may take. A reload may take as long as it needs to answer.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 10 * time.Second
	idleTimeout   = 30 * time.Second
)

// maxConnections is how many connections there may be at a time; more wait.
const maxConnections = 64

// Serve answers on a listener until Close.
func Serve(l net.Listener, h http.Handler) *Server { return serve(l, h, headerTimeout) }

func serve(l net.Listener, h http.Handler, header time.Duration) *Server {
	s := &Server{ended: make(chan struct{}), http: &http.Server{
		Handler: h, ReadHeaderTimeout: header, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: 16 << 10, ErrorLog: log.New(io.Discard, "", 0),
	}}
	go func() {
		defer close(s.ended)
		_ = s.http.Serve(&bounded{Listener: l, free: make(chan struct{}, maxConnections), closed: make(chan struct{})}) // it ends by Close
	}()
	return s
}

// Close lets requests under way end for a moment, then ends all. The listener is closed.
func (s *Server) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		_ = s.http.Close()
	}
	<-s.ended
}

// bounded accepts as many connections at a time as free holds.
type bounded struct {
	net.Listener
	free   chan struct{}
	closed chan struct{}
	once   sync.Once
}

// Accept waits until there is a place.
func (b *bounded) Accept() (net.Conn, error) {
	select {
	case b.free <- struct{}{}:
	case <-b.closed:
		return nil, net.ErrClosed
	}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.free
		return nil, err
	}
	return &placed{Conn: c, leave: sync.OnceFunc(func() { <-b.free })}, nil
}

// Close ends the accepting.
func (b *bounded) Close() error {
	b.once.Do(func() { close(b.closed) })
	err := b.Listener.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// placed is a connection that has a place.
type placed struct {
	net.Conn
	leave func()
}

// Close gives the place back.
func (p *placed) Close() error {
	defer p.leave()
	return p.Conn.Close()
}
