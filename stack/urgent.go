package stack

// WriteUrgent queues data whose last byte is urgent (MSG_OOB); see
// tcp.Conn.WriteUrgent. Poll sends it.
func (c *Conn) WriteUrgent(p []byte) (int, Errno) {
	n, e := c.Conn.WriteUrgent(p)
	if n > 0 {
		c.stack().touch(c)
	}
	return n, e
}
