"""The fixed limits against what users can do to the service, and why each has its figure.

Limits that depend on what a service is for are keys of the configuration: `max_connections`,
`max_connections_per_user`, `max_message`, `idle_timeout`. Those here do not: they are far above
what honest use needs, and below what delays others. docs/configuration.md lists them, and the
manual page. Sizes of buffers and batches, which no user comes up against, are where they are used.
"""

# ---- the data plane ------------------------------------------------------------------------------

# Bytes that all connections together may have buffered: incomplete messages and unsent replies. The
# kernel kills a process that uses too much memory, and then nobody is served.
BUFFERED_BYTES = 256 << 20

# Bytes of a connection that are not counted: no more than the connection itself costs, and most
# connections never buffer more.
UNCOUNTED_BYTES = 16 << 10

# Bytes of delayed replies of a datagram endpoint, for each user; see `faults`. A datagram has no
# connection whose next message could wait for them. Each counts for so many bytes more.
DELAYED_BYTES = 4 << 20
DELAYED_OVERHEAD = 1 << 10

# Descriptors that a message may pass to an endpoint that receives them; the kernel closes others.
PASSED = 16

# Descriptors of a user that wait to be closed; a thread that has to wait for a processor is late.
PASSED_CLOSING = 256

# Users whose descriptors are closed at a time, by a thread for each; the unit has 16 (TasksMax=).
PASSED_THREADS = 4

# Descriptors that were sent back and not received yet: to one user, and to all. The kernel's limit
# for all that the service's account has sent is LimitNOFILE=.
PASSED_UNREAD_PER_USER = 256
PASSED_UNREAD = 2048

# Descriptors that are reserved: the control plane may need about a hundred for its connections, and
# calls and look-ups open some. Of a small limit, a quarter is reserved.
RESERVED_DESCRIPTORS = 128

# ---- the log -------------------------------------------------------------------------------------

# Lines in any second: about all peers, and about one user. So no one user takes all of them. More
# would displace others from the journal, and each takes as long as dozens of replies.
LOG_LINES = 10
LOG_LINES_PER_USER = 5

# Seconds between two lines about the same topic and user, where one line says it all.
LOG_PAUSE = 10.0

# Entries of a table by user at a time; all that do not fit share one more.
USER_ENTRIES = 256

# ---- the control socket --------------------------------------------------------------------------

# Connections: of all users but root and the service's own, and of each. A person needs one or two,
# and `localechoctl wait` and `events` keep one each.
CONTROL_CONNECTIONS = 64
CONTROL_CONNECTIONS_PER_USER = 16

# Clients that may wait to be accepted. They are accepted in the order in which they have come. A
# flood of connects fills any backlog, and each client that has sent something takes up to 0.1 ms to
# refuse. So a new one waits the longer, the longer the backlog is: 1,024 were ten seconds where the
# processors are busy. In a full one, connect(2) waits; without blocking it fails with EAGAIN.
CONTROL_BACKLOG = 128

# Connections of each user beyond the total. Two, because a client may connect before the end of its
# user's last client has been read.
CONTROL_CONNECTIONS_SPARE = 2

# Calls under way, for each user: on one connection there may be many.
CALLS_PER_USER = 64

# Requests hold a few names. The window is the least that HTTP/2 allows a connection, so that
# a client cannot send more than that ahead of the reader.
REQUEST_BYTES = 64 * 1024
WINDOW_BYTES = 2**16 - 1

# Bytes that a user may send, over all connections: so many at once, and so many a second. HTTP/2
# has frames that cost a hundred times more to handle than to send (HEADERS with RST_STREAM, PING).
# A call of localechoctl takes 300 to 500 bytes. A connection counts for so many more.
BURST_BYTES = REQUEST_BYTES + 32 * 1024
BYTES_PER_SECOND = 8 * 1024
CONNECTION_BYTES = 512

# Seconds that control connections have between two turns of traffic: as many as the turn before, so
# that each side has half of a busy service, but no fewer and no more than these. Clients of busy
# endpoints may have to wait for so long; the others are served after each callback.
CONTROL_TIME = 0.001
MOST_CONTROL_TIME = 0.005

# Bytes that are read at a time, and handled before traffic has its turn: a dozen small frames.
READ_BYTES = 256

# Rows of an answer, after which traffic has a turn; they take about as long as one turn of it.
ANSWER_ROWS = 32

# Events that are kept for callers that ask later, and that may be unread by a subscriber.
EVENTS = 256
