package stack

import "github.com/bonsainet/bonsai/internal/feature"

// Usage is what a Stack holds at the moment, within the bounds of its Config.
type Usage struct {
	Conns    int    // TCP connections, those in TIME-WAIT apart
	Orphans  int    // of them, those that are closed but not finished
	TimeWait int    // TCP connections in TIME-WAIT
	Memory   uint32 // bytes in the queues of all sockets
	Frames   int    // unused frame buffers
}

// Usage returns what s holds.
func (s *Stack) Usage() Usage {
	frames := s.pool.Len()
	if feature.FastPath { // those that wait for the next train
		for _, ifc := range s.ifaces {
			for _, b := range ifc.Out[len(ifc.Out):cap(ifc.Out)] {
				if b != nil {
					frames++
				}
			}
		}
	}
	return Usage{
		Conns: s.tcp.n, Orphans: s.tcp.orphans, TimeWait: s.tcp.twN,
		Memory: s.mem.Used(), Frames: frames,
	}
}
