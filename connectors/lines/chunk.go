package lines

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// chunkSize is the usual size of a chunk: one read of a full pipe fits four times, and a chunk holds a thousand small messages.
const chunkSize = 256 << 10

// classes are the sizes that are kept for use again: chunkSize doubled up to 16 MiB. A longer line gets memory of its own.
const classes = 7

// Pool keeps chunks that nobody holds for the next reads. The zero value is ready; it is safe for concurrent use.
type Pool struct {
	classes [classes]sync.Pool
}

// Chunk is a block of memory that several batches share. It goes back to its pool when the last holder has released it.
type Chunk struct {
	buf     []byte
	holders atomic.Int32
	pool    *Pool
	class   int
}

// take gives a chunk of at least size bytes, held once.
func (p *Pool) take(size int) *Chunk {
	class := bits.Len(uint(max(size-1, 0) / chunkSize))
	if class >= classes {
		c := &Chunk{buf: make([]byte, size)}
		c.holders.Store(1)
		return c
	}
	c, ok := p.classes[class].Get().(*Chunk)
	if !ok {
		c = &Chunk{buf: make([]byte, chunkSize<<class), pool: p, class: class}
	}
	c.holders.Store(1)
	return c
}

// Hold adds a holder.
func (c *Chunk) Hold() { c.holders.Add(1) }

// Release takes a holder away. After the last one the memory is used again.
func (c *Chunk) Release() {
	if c.holders.Add(-1) == 0 && c.pool != nil {
		c.pool.classes[c.class].Put(c)
	}
}
