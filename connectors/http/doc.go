// Package http receives messages as requests, and sends them as requests.
//
// The source answers a request once its message is settled, so a client that got 200 knows that the message has arrived, and one that got
// anything else still has it. Requests that arrive while others are worked on travel together in one batch; each is answered by itself when
// another one of its batch is tried again. Sources of several pipelines
// share a listener when they name the same address; each has a path of its own. A source that takes over from another one, at a reload, has
// its listener too: requests that come while neither reads wait for the new one.
//
// The sink sends one request per message, several at a time, those of one key one after another. It renders URLs so that a message
// cannot leave the path or the query parameter that it is written into.
//
// How connections are made, and which addresses they may go to, is internal/httpclient's.
package http
