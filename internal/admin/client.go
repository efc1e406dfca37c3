package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millstream/millstream/internal/revision"
)

// ErrNobody is returned by Find when no process has a socket there.
var ErrNobody = errors.New("no running millstream")

// Client speaks to one process.
type Client struct {
	http *http.Client
	// Name is the socket's, for messages.
	Name string
}

// Find finds the process that has its socket in a state directory; of several the one with the instance's name.
func Find(state, instance string) (*Client, error) {
	folder := filepath.Join(state, folderName)
	live := slices.DeleteFunc(sockets(folder), func(name string) bool { return !alive(folder, name) })
	if instance != "" {
		live = slices.DeleteFunc(live, func(name string) bool {
			at := strings.LastIndexByte(name, '-')
			return at < 0 || name[:at] != fileName(instance)
		})
	}
	switch len(live) {
	case 0:
		return nil, fmt.Errorf("%w has its state in %s: name its directory with --state", ErrNobody, state)
	case 1:
		return newClient(folder, live[0]), nil
	}
	return nil, fmt.Errorf("%d processes have their state in %s (%s): choose one with --instance", len(live), state, strings.Join(live, ", "))
}

func newClient(folder, name string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var c net.Conn
		err := reach(folder, name, func(path string) (err error) {
			c, err = (&net.Dialer{}).DialContext(ctx, "unix", path)
			return err
		})
		return c, err
	}
	return &Client{Name: name, http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Status asks what the process does; raw is the answer as it came.
func (c *Client) Status(ctx context.Context) (s Status, raw []byte, err error) {
	raw, err = c.do(ctx, http.MethodGet, "/status", nil, &s)
	return s, raw, err
}

// Reload lets the process reload and waits for the receipt.
func (c *Client) Reload(ctx context.Context) (a revision.Attempt, raw []byte, err error) {
	raw, err = c.do(ctx, http.MethodPost, "/reload", struct{}{}, &a)
	return a, raw, err
}

// Plan asks what a reload would do if the process ran these paths.
func (c *Client) Plan(ctx context.Context, paths []string) (p Plan, err error) {
	_, err = c.do(ctx, http.MethodPost, "/plan", map[string][]string{"paths": paths}, &p)
	return p, err
}

func (c *Client) do(ctx context.Context, method, path string, body, into any) ([]byte, error) {
	var text io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		text = bytes.NewReader(b)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://millstream"+path, text)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", c.Name, err)
	}
	defer response.Body.Close() //nolint:errcheck // read only
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", c.Name, err)
	}
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusUnprocessableEntity {
		var refusal struct {
			Error string `json:"error"`
		}
		_ = json.Unmarshal(raw, &refusal) // without it, the status says it
		return nil, fmt.Errorf("ask %s: %s %s", c.Name, response.Status, refusal.Error)
	}
	return raw, json.Unmarshal(raw, into)
}
