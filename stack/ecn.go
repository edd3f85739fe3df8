package stack

// tos returns the type of service of the segment that c has just put out: its ECN bits are TCP's,
// whatever Options has there.
func (c *Conn) tos() uint8 { return c.Options.TOS&^3 | c.Codepoint() }
