package engine

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// shared lends resources (a broker client) to all components that ask with an equal key, counts the users, and closes a resource
// after its last one.
type shared struct {
	mu   sync.Mutex
	open map[string]*sharedResource
}

type sharedResource struct {
	ready    chan struct{} // closed when opened or failed
	gone     chan struct{} // closed when it may be opened anew
	resource io.Closer
	err      error
	users    int
	closing  bool
}

func newShared() *shared { return &shared{open: map[string]*sharedResource{}} }

func (s *shared) acquire(key string, open func() (io.Closer, error)) (io.Closer, func() error, error) {
	r, first := s.join(key)
	if first {
		r.resource, r.err = guarded(open)
		if r.err != nil {
			s.remove(key, r)
		}
		close(r.ready)
	}
	<-r.ready
	if r.err != nil {
		return nil, nil, r.err
	}
	var once sync.Once
	return r.resource, func() (err error) {
		once.Do(func() { err = s.release(key, r) })
		return err
	}, nil
}

// join makes the caller a user of the key's resource, or the one who has to open it. A resource that is closing is waited for: a
// listening port or a client name cannot be had twice.
func (s *shared) join(key string) (r *sharedResource, first bool) {
	for {
		s.mu.Lock()
		r, ok := s.open[key]
		if ok && r.closing {
			s.mu.Unlock()
			<-r.gone
			continue
		}
		if !ok {
			r = &sharedResource{ready: make(chan struct{}), gone: make(chan struct{})}
			s.open[key] = r
		}
		r.users++
		s.mu.Unlock()
		return r, !ok
	}
}

func (s *shared) release(key string, r *sharedResource) error {
	s.mu.Lock()
	r.users--
	r.closing = r.users == 0
	last := r.closing
	s.mu.Unlock()
	if !last {
		return nil
	}
	defer s.remove(key, r)
	return r.resource.Close()
}

func (s *shared) remove(key string, r *sharedResource) {
	s.mu.Lock()
	if s.open[key] == r {
		delete(s.open, key)
	}
	s.mu.Unlock()
	close(r.gone)
}

// errPanicked is what a panic in a component becomes.
var errPanicked = errors.New("panicked")

// guarded calls a component's function; a panic becomes an error, so that it does not take the other pipelines with it.
func guarded[T any](f func() (T, error)) (v T, err error) {
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("%w: %v", errPanicked, x)
		}
	}()
	v, err = f()
	if err == nil && any(v) == nil {
		err = errors.New("gave nothing and no error")
	}
	return v, err
}

// guard is guarded for a function without a result.
func guard(f func() error) error {
	_, err := guarded(func() (struct{}, error) { return struct{}{}, f() })
	return err
}
