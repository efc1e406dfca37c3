// Package faults proves the promises that only hold when real processes die: it runs the millstream binary between real files and
// brokers, kills it with SIGKILL at named places and at random, starts it again, and compares what came out with what went in. It is a
// test kit and no part of the product.
package faults
