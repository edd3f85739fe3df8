package stack

func (c *Conn) writeUrgent(p []byte) (int, Errno) {
	n, e := c.Conn.WriteUrgent(p)
	if n > 0 {
		c.stack().touch(c)
	}
	return n, e
}
