package http_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	nethttp "net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// writeCertificate makes a certificate for this machine, its own authority, and writes it and its key into a folder.
func writeCertificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(dir+"/"+name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestASourceWithCertificatesSpeaksHTTPSAndASinkTrustsWhatItIsTold(t *testing.T) {
	r := newRig(t)
	writeCertificate(t, r.vars["DIR"])
	r.start(`
name: secure
from: { http: { listen: "${LISTEN}", path: /in, tls: { cert: "${DIR}/cert.pem", key: "${DIR}/key.pem" } } }
to: { file: { path: "${DIR}/out" } }
`)
	text, err := os.ReadFile(r.vars["DIR"] + "/cert.pem")
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	for _, http2 := range []bool{true, false} {
		client := &nethttp.Client{Transport: &nethttp.Transport{
			TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: http2,
		}, Timeout: patience}
		req, err := nethttp.NewRequestWithContext(t.Context(), "POST", "https://"+r.vars["LISTEN"]+"/in", strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != 200 || (resp.ProtoMajor == 2) != http2 {
			t.Errorf("answered %s by %s", resp.Status, resp.Proto)
		}
		client.CloseIdleConnections()
	}
	if err := os.WriteFile(r.vars["DIR"]+"/in", []byte("by the sink\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := r.start(`
name: client
from: { file: { path: "${DIR}/in" } }
to: { http: { url: "https://${LISTEN}/in", tls: { ca: "${DIR}/cert.pem" } } }
`)
	<-p.Done()
	text, err = os.ReadFile(r.vars["DIR"] + "/out")
	if err != nil || !bytes.Equal(text, []byte("hello\nhello\nby the sink\n")) {
		t.Errorf("%q, %v", text, err)
	}
}
