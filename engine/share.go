package engine

import (
	"errors"
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
	resource io.Closer
	err      error
	users    int
}

func newShared() *shared { return &shared{open: map[string]*sharedResource{}} }

func (s *shared) acquire(key string, open func() (io.Closer, error)) (io.Closer, func() error, error) {
	s.mu.Lock()
	r, ok := s.open[key]
	if !ok {
		r = &sharedResource{ready: make(chan struct{})}
		s.open[key] = r
	}
	r.users++
	s.mu.Unlock()
	if ok {
		<-r.ready
	} else {
		r.resource, r.err = open()
		close(r.ready)
	}
	if r.err != nil {
		return nil, nil, errors.Join(r.err, s.release(key, r))
	}
	var once sync.Once
	return r.resource, func() (err error) {
		once.Do(func() { err = s.release(key, r) })
		return err
	}, nil
}

func (s *shared) release(key string, r *sharedResource) error {
	s.mu.Lock()
	r.users--
	last := r.users == 0
	if last && s.open[key] == r {
		delete(s.open, key)
	}
	s.mu.Unlock()
	if last && r.resource != nil {
		return r.resource.Close()
	}
	return nil
}
