package amqp

import (
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// pipeWire is a wire whose broker is the other end of a pipe.
func pipeWire(t *testing.T) (*wire, net.Conn) {
	t.Helper()
	near, far := net.Pipe()
	w, err := newWire(t.Context(), near, 4*time.Second, time.Now().Add(openTimeout))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = w.Close(), far.Close() })
	return w, far
}

// agree ends the handshake as the library does, with heartbeats of so long.
func agree(t *testing.T, w *wire, heartbeat time.Duration) {
	t.Helper()
	if err := w.SetReadDeadline(time.Now().Add(heartbeat / 2 * 3)); err != nil {
		t.Fatal(err)
	}
	if err := w.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	w.keep()
}

func TestASilentWireIsGivenUpAfterThreeHeartbeats(t *testing.T) {
	for _, heartbeat := range []time.Duration{time.Second, 7 * time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			w, far := pipeWire(t)
			agree(t, w, heartbeat)
			go func() {
				time.Sleep(time.Second)
				_, _ = far.Write([]byte("x"))
			}()
			if n, err := w.Read(make([]byte, 8)); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			came := time.Now()
			// The library tells of less when the machine is busy.
			if err := w.SetReadDeadline(time.Now().Add(heartbeat / 2)); err != nil {
				t.Fatal(err)
			}
			_, err := w.Read(make([]byte, 8))
			var silent *silenceError
			if !errors.As(err, &silent) || silent.patience != 3*heartbeat || time.Since(came) != 3*heartbeat+secondLook {
				t.Errorf("after %s: %v", time.Since(came), err)
			}
			if w.given() != 3*heartbeat+goneMargin {
				t.Errorf("the broker's time is %s", w.given())
			}
		})
	}
}

func TestAWriteThatHangsEndsWithTheSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := pipeWire(t)
		agree(t, w, time.Second)
		wrote := make(chan error)
		go func() {
			_, err := w.Write([]byte("nobody reads this"))
			wrote <- err
		}()
		if _, err := w.Read(make([]byte, 8)); err == nil {
			t.Error("something was read")
		}
		if err := <-wrote; err == nil {
			t.Error("the write has ended well")
		}
	})
}

func TestAWireWithoutHeartbeatsIsPatientAndCanBeAborted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := pipeWire(t)
		if err := w.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		time.AfterFunc(time.Hour, w.abort)
		_, err := w.Read(make([]byte, 8))
		var silent *silenceError
		if !errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &silent) || time.Since(began) != time.Hour {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}
