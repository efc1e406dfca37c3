package faults

// bits is a set of small numbers, a bit each.
type bits []uint64

// add puts i in and tells whether it was there.
func (b *bits) add(i int) (there bool) {
	for i/64 >= len(*b) {
		*b = append(*b, make([]uint64, len(*b)+16)...)
	}
	there = b.has(i)
	(*b)[i/64] |= 1 << (i % 64)
	return there
}

func (b bits) has(i int) bool { return i >= 0 && i/64 < len(b) && b[i/64]&(1<<(i%64)) != 0 }
