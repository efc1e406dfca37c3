package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"
)

// maxBody is the most that a request may carry.
const maxBody = 1 << 20

// Socket is the API for the process's own user, over the unix socket.
func Socket(b Backend) http.Handler { return routes(b, true) }

// Loopback is the API over TCP on the loopback interface, where any user of the machine and any page in a browser can send requests: only
// what names one of its own addresses is answered, nothing from another origin, and nothing that quotes files is shown.
func Loopback(b Backend, addr net.Addr) http.Handler {
	return knownHosts(addr, http.NewCrossOriginProtection().Handler(routes(b, false)))
}

func routes(b Backend, own bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]bool{"alive": true})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		s, code := b.Status(), http.StatusOK
		if !s.Ready || s.Draining {
			code = http.StatusServiceUnavailable
		}
		said := map[string]any{"ready": code == http.StatusOK, "not_ready": s.NotReady}
		if len(s.Degraded) > 0 {
			said["degraded"] = s.Degraded
		}
		answer(w, code, said)
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		s := b.Status()
		if !own {
			s = s.public()
		}
		answer(w, http.StatusOK, s)
	})
	mux.HandleFunc("POST /reload", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := body(w, r); ok {
			reload(b, own, w, r)
		}
	})
	if own {
		mux.HandleFunc("POST /plan", func(w http.ResponseWriter, r *http.Request) { plan(b, w, r) })
	}
	return headers(mux)
}

func reload(b Backend, own bool, w http.ResponseWriter, r *http.Request) {
	// It takes as long as it takes: what is new must connect, what is in flight must end.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // a recorder in tests has none
	a, err := b.Reload(r.Context())
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	if !own {
		a = a.Public()
	}
	code := http.StatusOK
	if !a.OK() {
		code = http.StatusUnprocessableEntity
	}
	answer(w, code, a)
}

func plan(b Backend, w http.ResponseWriter, r *http.Request) {
	text, ok := body(w, r)
	if !ok {
		return
	}
	var request struct {
		Paths []string `json:"paths"`
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &request); err != nil {
			refuse(w, http.StatusBadRequest, "this is not what plan takes: "+err.Error())
			return
		}
	}
	p := b.Plan(request.Paths)
	code := http.StatusOK
	if p.Error != "" || len(p.Broken) > 0 {
		code = http.StatusUnprocessableEntity
	}
	answer(w, code, p)
}

// body reads the body of a POST. What a form or a script of another page could send is not JSON, and is refused.
func body(w http.ResponseWriter, r *http.Request) (text []byte, ok bool) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		refuse(w, http.StatusUnsupportedMediaType, "send it with Content-Type: application/json")
		return nil, false
	}
	text, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		refuse(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes", maxBody))
		return nil, false
	case err != nil:
		refuse(w, http.StatusBadRequest, "the body cannot be read")
		return nil, false
	}
	return text, true
}

// knownHosts lets pass what was sent to an address of ours by its name: a name of somebody else's that leads here is how a page in a
// browser gets around the rule of the same origin.
func knownHosts(addr net.Addr, next http.Handler) http.Handler {
	_, port, _ := net.SplitHostPort(addr.String())
	known := map[string]bool{}
	for _, host := range []string{"localhost", "127.0.0.1", "::1"} {
		known[net.JoinHostPort(host, port)] = true
	}
	known[addr.String()] = true
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !known[strings.ToLower(r.Host)] {
			refuse(w, http.StatusMisdirectedRequest, "this host is not served here")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

func answer(w http.ResponseWriter, code int, what any) {
	text, err := json.MarshalIndent(what, "", "  ")
	if err != nil {
		http.Error(w, "the answer cannot be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(text, '\n')) // who has gone away needs no answer
}

func refuse(w http.ResponseWriter, code int, why string) {
	answer(w, code, map[string]string{"error": why})
}
