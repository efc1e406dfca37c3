package httpclient_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/internal/httpclient"
)

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	return watched(t, h, nil)
}

// watched is serve with somebody who is told of connections.
func watched(t *testing.T, h http.HandlerFunc, state func(net.Conn, http.ConnState)) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ConnState = state
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func client(t *testing.T, o httpclient.Options) *httpclient.Client {
	t.Helper()
	c := httpclient.New(o)
	t.Cleanup(c.Close)
	return c
}

func wantError(t *testing.T, err error, class flow.Class, code flow.Code) (message string) {
	t.Helper()
	var e *flow.Error
	if !errors.As(err, &e) || e.Class != class || e.Code != code {
		t.Fatalf("the error is %v (%+v), want %s %s", err, e, class, code)
	}
	return e.Message
}

func TestARequestArrivesAndItsAnswerComesBack(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Host == "elsewhere" || r.Header.Get("Te") != "" || r.Header.Get("Accept-Encoding") != "" || r.ContentLength != int64(len(body)) {
			w.WriteHeader(http.StatusTeapot)
		}
		w.Header().Set("X-Saw", r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("X-A")+" "+string(body))
		_, _ = w.Write([]byte("fine"))
	})
	c := client(t, httpclient.Options{})
	got, err := c.Do(t.Context(), &httpclient.Request{
		Method: "PUT", URL: s.URL + "/p%2Fq?x=1", Body: []byte("hello"), Header: http.Header{"x-a": {"1"}, "Host": {"elsewhere"}, "TE": {"trailers"}},
	})
	if err != nil || got.Status != 200 || string(got.Body) != "fine" || got.Cut || got.Header.Get("X-Saw") != "PUT /p%2Fq?x=1 1 hello" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	var opened atomic.Int32
	s := watched(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 100)) }, func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	})
	c := client(t, httpclient.Options{})
	for range 20 {
		if _, err := c.Do(t.Context(), &httpclient.Request{URL: s.URL}); err != nil {
			t.Fatal(err)
		}
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("20 requests opened %d connections", n)
	}
}

func TestConnectionsToManyHostsAreNotAllKept(t *testing.T) {
	var open atomic.Int32
	c := client(t, httpclient.Options{MaxConns: 2})
	for range 10 {
		s := watched(t, func(http.ResponseWriter, *http.Request) {}, func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				open.Add(1)
			case http.StateClosed:
				open.Add(-1)
			default:
			}
		})
		if _, err := c.Do(t.Context(), &httpclient.Request{URL: s.URL}); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(10 * time.Second); open.Load() > 2; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d connections are kept", open.Load())
		}
	}
}

func TestARedirectIsAnAnswerLikeAnyOther(t *testing.T) {
	var followed atomic.Bool
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/next" {
			followed.Store(true)
		}
		http.Redirect(w, r, "/next", http.StatusFound)
	})
	got, err := client(t, httpclient.Options{}).Do(t.Context(), &httpclient.Request{URL: s.URL})
	if err != nil || got.Status != http.StatusFound || followed.Load() {
		t.Errorf("got %+v, %v, followed %v", got, err, followed.Load())
	}
	wantError(t, httpclient.StatusError(got), flow.Permanent, flow.CodeRefused)
}

func TestALongAnswerIsCut(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(strings.Repeat("x", len(r.URL.Path)-1)))
	})
	c := client(t, httpclient.Options{MaxBody: 10})
	for n, cut := range map[int]bool{9: false, 10: false, 11: true, 500: true} {
		got, err := c.Do(t.Context(), &httpclient.Request{URL: s.URL + "/" + strings.Repeat("p", n)})
		if err != nil || got.Cut != cut || len(got.Body) != min(n, 10) {
			t.Errorf("%d bytes: %d came, cut %v, error %v", n, len(got.Body), got.Cut, err)
		}
	}
}

func TestAPackedAnswerStaysPacked(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write([]byte("\x1f\x8bwhatever"))
	})
	got, err := client(t, httpclient.Options{}).Do(t.Context(), &httpclient.Request{URL: s.URL})
	if err != nil || string(got.Body) != "\x1f\x8bwhatever" || got.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestWhoDoesNotAnswerIsUnavailable(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/silent":
			<-release
		case "/half":
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("x"))
			_ = http.NewResponseController(w).Flush()
			<-release
		case "/cut":
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("x"))
		case "/odd":
			conn, _, _ := http.NewResponseController(w).Hijack()
			_, _ = io.WriteString(conn, "SMTP ready\r\n\r\n")
			_ = conn.Close()
		}
	})
	defer close(release)
	closed, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	c := client(t, httpclient.Options{Timeout: 200 * time.Millisecond})
	for _, url := range []string{s.URL + "/silent", s.URL + "/half", s.URL + "/cut", s.URL + "/odd", "http://" + closed.Addr().String()} {
		_, err := c.Do(t.Context(), &httpclient.Request{URL: url + "?secret=1"})
		if said := wantError(t, err, flow.Transient, flow.CodeUnavailable); strings.Contains(said, "secret") {
			t.Errorf("the error shows the query: %s", said)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Do(ctx, &httpclient.Request{URL: s.URL})
	wantError(t, err, flow.Transient, flow.CodeUnavailable)
}

func TestWhatCannotBeSentIsPermanent(t *testing.T) {
	c := client(t, httpclient.Options{})
	tests := []struct {
		name    string
		request httpclient.Request
		code    flow.Code
	}{
		{"no URL", httpclient.Request{}, flow.CodeInvalidName},
		{"another scheme", httpclient.Request{URL: "file:///etc/passwd"}, flow.CodeInvalidName},
		{"no host", httpclient.Request{URL: "http:///x"}, flow.CodeInvalidName},
		{"a port alone", httpclient.Request{URL: "http://:80/x"}, flow.CodeInvalidName},
		{"a port that there is not", httpclient.Request{URL: "http://127.0.0.1:99999/x"}, flow.CodeInvalidName},
		{"a control character", httpclient.Request{URL: "http://127.0.0.1/a\nb"}, flow.CodeInvalidName},
		{"a password", httpclient.Request{URL: "http://u:p@127.0.0.1/"}, flow.CodeInvalidName},
		{"a method with a blank", httpclient.Request{URL: "http://127.0.0.1/", Method: "GET /x"}, flow.CodeInvalidName},
		{"a header with a line end", httpclient.Request{URL: "http://127.0.0.1/", Header: http.Header{"A": {"b\r\nC: d"}}}, flow.CodeEncode},
		{"a header name with a colon", httpclient.Request{URL: "http://127.0.0.1/", Header: http.Header{"A:B": {"c"}}}, flow.CodeEncode},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := c.Do(t.Context(), &test.request)
			if said := wantError(t, err, flow.Permanent, test.code); strings.Contains(said, "u:p") {
				t.Errorf("the error shows a password: %s", said)
			}
		})
	}
}

func TestACertificateThatIsNotTrustedIsAMistakeInTheConfiguration(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	trusted := x509.NewCertPool()
	trusted.AddCert(s.Certificate())
	tests := []struct {
		name  string
		tls   *tls.Config
		fails bool
	}{
		{"the system's authorities", nil, true},
		{"the server's own", &tls.Config{RootCAs: trusted}, false},
		{"another name", &tls.Config{RootCAs: trusted, ServerName: "other.example.org"}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := client(t, httpclient.Options{TLS: test.tls})
			_, doing := c.Do(t.Context(), &httpclient.Request{URL: s.URL})
			for _, err := range []error{doing, c.Dial(t.Context(), s.URL)} {
				if test.fails {
					wantError(t, err, flow.ConfigError, flow.CodeAuth)
				} else if err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestTLS11IsRefused(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	s.StartTLS()
	t.Cleanup(s.Close)
	trusted := x509.NewCertPool()
	trusted.AddCert(s.Certificate())
	c := client(t, httpclient.Options{TLS: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS10}})
	if _, err := c.Do(t.Context(), &httpclient.Request{URL: s.URL}); err == nil {
		t.Error("TLS 1.1 was good enough")
	}
}

func TestDialAsksNothing(t *testing.T) {
	var asked atomic.Bool
	s := serve(t, func(http.ResponseWriter, *http.Request) { asked.Store(true) })
	c := client(t, httpclient.Options{})
	if err := c.Dial(t.Context(), s.URL+"/x"); err != nil || asked.Load() {
		t.Errorf("error %v, asked %v", err, asked.Load())
	}
	s.Close()
	wantError(t, c.Dial(t.Context(), s.URL), flow.Transient, flow.CodeUnavailable)
}

func TestAProxyInTheEnvironmentIsNotUsed(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("ALL_PROXY", "http://127.0.0.1:1")
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	if _, err := client(t, httpclient.Options{}).Do(t.Context(), &httpclient.Request{URL: s.URL}); err != nil {
		t.Error(err)
	}
}
