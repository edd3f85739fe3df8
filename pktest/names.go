package pktest

// What scripts call by name, with Linux's numbers.

const (
	afInet     = 2
	sockStream = 1
	sockDgram  = 2
	sockRaw    = 3

	sockNonblock = 0o4000
	sockCloexec  = 0o2000000

	msgOOB      = 1
	msgPeek     = 2
	msgTrunc    = 0x20
	msgDontwait = 0x40
	msgWaitall  = 0x100
	msgNosignal = 0x4000
	msgMore     = 0x8000

	fGetfl    = 3
	fSetfl    = 4
	oRdwr     = 2
	oNonblock = 0o4000

	pollIn  = 1
	pollPri = 2
	pollOut = 4
	pollErr = 8
	pollHup = 0x10

	siocInq     = 0x541b
	siocOutq    = 0x5411
	siocOutqNsd = 0x894b

	solSocket = 1
	soError   = 4
	soLinger  = 13
	solTCP    = 6
	tcpInfo   = 11
)

var constants = map[string]int64{
	"AF_INET": afInet, "PF_INET": afInet, "AF_UNSPEC": 0,
	"SOCK_STREAM": sockStream, "SOCK_DGRAM": sockDgram, "SOCK_RAW": sockRaw,
	"SOCK_NONBLOCK": sockNonblock, "SOCK_CLOEXEC": sockCloexec,
	"IPPROTO_IP": 0, "IPPROTO_ICMP": 1, "IPPROTO_TCP": 6, "IPPROTO_UDP": 17, "IPPROTO_RAW": 255,
	"INADDR_ANY": 0,

	"SOL_SOCKET": solSocket, "SOL_IP": 0, "SOL_TCP": solTCP, "SOL_UDP": 17,
	"SO_REUSEADDR": 2, "SO_TYPE": 3, "SO_ERROR": soError, "SO_DONTROUTE": 5, "SO_BROADCAST": 6, "SO_SNDBUF": 7, "SO_RCVBUF": 8,
	"SO_KEEPALIVE": 9, "SO_OOBINLINE": 10, "SO_PRIORITY": 12, "SO_LINGER": soLinger, "SO_REUSEPORT": 15,
	"SO_RCVLOWAT": 18, "SO_SNDLOWAT": 19, "SO_RCVTIMEO": 20, "SO_SNDTIMEO": 21, "SO_BINDTODEVICE": 25,
	"SO_ACCEPTCONN": 30, "SO_MARK": 36, "SO_PROTOCOL": 38, "SO_DOMAIN": 39,
	"IP_TOS": 1, "IP_TTL": 2, "IP_HDRINCL": 3, "IP_OPTIONS": 4, "IP_MTU_DISCOVER": 10, "IP_RECVERR": 11, "IP_MTU": 14,
	"IP_PMTUDISC_DONT": 0, "IP_PMTUDISC_WANT": 1, "IP_PMTUDISC_DO": 2, "IP_PMTUDISC_PROBE": 3,
	"TCP_NODELAY": 1, "TCP_MAXSEG": 2, "TCP_CORK": 3, "TCP_KEEPIDLE": 4, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 6,
	"TCP_SYNCNT": 7, "TCP_LINGER2": 8, "TCP_DEFER_ACCEPT": 9, "TCP_WINDOW_CLAMP": 10, "TCP_INFO": tcpInfo,
	"TCP_QUICKACK": 12, "TCP_CONGESTION": 13, "TCP_USER_TIMEOUT": 18, "TCP_FASTOPEN": 23,
	"TCP_NOTSENT_LOWAT": 25, "TCP_FASTOPEN_CONNECT": 30,

	"F_GETFL": fGetfl, "F_SETFL": fSetfl, "O_RDONLY": 0, "O_WRONLY": 1, "O_RDWR": oRdwr, "O_NONBLOCK": oNonblock,
	"SHUT_RD": 0, "SHUT_WR": 1, "SHUT_RDWR": 2,
	"MSG_OOB": msgOOB, "MSG_PEEK": msgPeek, "MSG_DONTROUTE": 4, "MSG_TRUNC": msgTrunc, "MSG_DONTWAIT": msgDontwait,
	"MSG_WAITALL": msgWaitall, "MSG_NOSIGNAL": msgNosignal, "MSG_MORE": msgMore, "MSG_ERRQUEUE": 0x2000,
	"POLLIN": pollIn, "POLLPRI": pollPri, "POLLOUT": pollOut, "POLLERR": pollErr, "POLLHUP": pollHup,
	"POLLNVAL": 0x20, "POLLRDNORM": 0x40, "POLLWRNORM": 0x100, "POLLRDHUP": 0x2000,
	"SIOCINQ": siocInq, "FIONREAD": siocInq, "SIOCOUTQ": siocOutq, "TIOCOUTQ": siocOutq, "SIOCOUTQNSD": siocOutqNsd,

	"TCP_ESTABLISHED": 1, "TCP_SYN_SENT": 2, "TCP_SYN_RECV": 3, "TCP_FIN_WAIT1": 4, "TCP_FIN_WAIT2": 5,
	"TCP_TIME_WAIT": 6, "TCP_CLOSE": 7, "TCP_CLOSE_WAIT": 8, "TCP_LAST_ACK": 9, "TCP_LISTEN": 10, "TCP_CLOSING": 11,
	"TCP_CA_Open": 0, "TCP_CA_Disorder": 1, "TCP_CA_CWR": 2, "TCP_CA_Recovery": 3, "TCP_CA_Loss": 4,
	"TCPI_OPT_TIMESTAMPS": 1, "TCPI_OPT_SACK": 2, "TCPI_OPT_WSCALE": 4, "TCPI_OPT_ECN": 8,
	"TCP_INFINITE_SSTHRESH": 0x7fffffff,
}

// errnos are the names of error numbers, as on Linux but for mips and sparc.
var errnos = map[string]int{
	"EPERM": 1, "ENOENT": 2, "ESRCH": 3, "EINTR": 4, "EIO": 5, "ENXIO": 6, "EBADF": 9, "EAGAIN": 11, "EWOULDBLOCK": 11,
	"ENOMEM": 12, "EACCES": 13, "EFAULT": 14, "EBUSY": 16, "EEXIST": 17, "ENODEV": 19, "EINVAL": 22, "EMFILE": 24,
	"ENOTTY": 25, "EPIPE": 32, "ENONET": 64, "EPROTO": 71, "EDESTADDRREQ": 89, "EMSGSIZE": 90, "EPROTOTYPE": 91,
	"ENOTSOCK": 88, "ENOPROTOOPT": 92, "EPROTONOSUPPORT": 93, "ESOCKTNOSUPPORT": 94, "EOPNOTSUPP": 95, "EPFNOSUPPORT": 96,
	"EAFNOSUPPORT": 97, "EADDRINUSE": 98, "EADDRNOTAVAIL": 99, "ENETDOWN": 100, "ENETUNREACH": 101, "ENETRESET": 102,
	"ECONNABORTED": 103, "ECONNRESET": 104, "ENOBUFS": 105, "EISCONN": 106, "ENOTCONN": 107, "ESHUTDOWN": 108,
	"ETIMEDOUT": 110, "ECONNREFUSED": 111, "EHOSTDOWN": 112, "EHOSTUNREACH": 113, "EALREADY": 114, "EINPROGRESS": 115,
}

// errnoName returns the name of an error number.
func errnoName(n int) string {
	if n == 11 {
		return "EAGAIN"
	}
	for s, v := range errnos {
		if v == n {
			return s
		}
	}
	return "errno " + itoa(n)
}
