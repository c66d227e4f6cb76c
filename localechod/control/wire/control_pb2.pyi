from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StatusRequest(_message.Message):
    __slots__ = ("names",)
    NAMES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ...) -> None: ...

class StatusReply(_message.Message):
    __slots__ = ("daemon", "endpoints", "control")
    DAEMON_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    CONTROL_FIELD_NUMBER: _ClassVar[int]
    daemon: Daemon
    endpoints: _containers.RepeatedCompositeFieldContainer[Endpoint]
    control: ControlSocket
    def __init__(self, daemon: _Optional[_Union[Daemon, _Mapping]] = ..., endpoints: _Optional[_Iterable[_Union[Endpoint, _Mapping]]] = ..., control: _Optional[_Union[ControlSocket, _Mapping]] = ...) -> None: ...

class ControlSocket(_message.Message):
    __slots__ = ("connections", "errors")
    class ErrorsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    connections: int
    errors: _containers.ScalarMap[str, int]
    def __init__(self, connections: _Optional[int] = ..., errors: _Optional[_Mapping[str, int]] = ...) -> None: ...

class Daemon(_message.Message):
    __slots__ = ("version", "pid", "user", "uid", "uptime_seconds", "config", "runtime_dir", "restart_needed", "log_lines_left_out_total")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    UPTIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_DIR_FIELD_NUMBER: _ClassVar[int]
    RESTART_NEEDED_FIELD_NUMBER: _ClassVar[int]
    LOG_LINES_LEFT_OUT_TOTAL_FIELD_NUMBER: _ClassVar[int]
    version: str
    pid: int
    user: str
    uid: int
    uptime_seconds: float
    config: str
    runtime_dir: str
    restart_needed: _containers.RepeatedScalarFieldContainer[str]
    log_lines_left_out_total: int
    def __init__(self, version: _Optional[str] = ..., pid: _Optional[int] = ..., user: _Optional[str] = ..., uid: _Optional[int] = ..., uptime_seconds: _Optional[float] = ..., config: _Optional[str] = ..., runtime_dir: _Optional[str] = ..., restart_needed: _Optional[_Iterable[str]] = ..., log_lines_left_out_total: _Optional[int] = ...) -> None: ...

class Endpoint(_message.Message):
    __slots__ = ("name", "type", "state", "path", "mode", "owner", "group", "framing", "connections", "accepted_total", "messages_total", "received_bytes_total", "sent_bytes_total", "errors", "error", "hint", "restarts_total", "faults", "faults_total")
    class ErrorsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class FaultsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class FaultsTotalEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    FRAMING_FIELD_NUMBER: _ClassVar[int]
    CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_TOTAL_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_BYTES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    SENT_BYTES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    FAULTS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    state: str
    path: str
    mode: str
    owner: str
    group: str
    framing: str
    connections: int
    accepted_total: int
    messages_total: int
    received_bytes_total: int
    sent_bytes_total: int
    errors: _containers.ScalarMap[str, int]
    error: str
    hint: str
    restarts_total: int
    faults: _containers.ScalarMap[str, float]
    faults_total: _containers.ScalarMap[str, int]
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., state: _Optional[str] = ..., path: _Optional[str] = ..., mode: _Optional[str] = ..., owner: _Optional[str] = ..., group: _Optional[str] = ..., framing: _Optional[str] = ..., connections: _Optional[int] = ..., accepted_total: _Optional[int] = ..., messages_total: _Optional[int] = ..., received_bytes_total: _Optional[int] = ..., sent_bytes_total: _Optional[int] = ..., errors: _Optional[_Mapping[str, int]] = ..., error: _Optional[str] = ..., hint: _Optional[str] = ..., restarts_total: _Optional[int] = ..., faults: _Optional[_Mapping[str, float]] = ..., faults_total: _Optional[_Mapping[str, int]] = ...) -> None: ...

class EndpointRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class EndpointReply(_message.Message):
    __slots__ = ("endpoint",)
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    endpoint: Endpoint
    def __init__(self, endpoint: _Optional[_Union[Endpoint, _Mapping]] = ...) -> None: ...

class ReloadRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReloadReply(_message.Message):
    __slots__ = ("added", "changed", "removed", "unchanged", "restart_needed")
    ADDED_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    RESTART_NEEDED_FIELD_NUMBER: _ClassVar[int]
    added: _containers.RepeatedScalarFieldContainer[str]
    changed: _containers.RepeatedScalarFieldContainer[str]
    removed: _containers.RepeatedScalarFieldContainer[str]
    unchanged: _containers.RepeatedScalarFieldContainer[str]
    restart_needed: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, added: _Optional[_Iterable[str]] = ..., changed: _Optional[_Iterable[str]] = ..., removed: _Optional[_Iterable[str]] = ..., unchanged: _Optional[_Iterable[str]] = ..., restart_needed: _Optional[_Iterable[str]] = ...) -> None: ...

class PeersRequest(_message.Message):
    __slots__ = ("endpoint",)
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    endpoint: str
    def __init__(self, endpoint: _Optional[str] = ...) -> None: ...

class PeersReply(_message.Message):
    __slots__ = ("peers", "pid_namespace")
    PEERS_FIELD_NUMBER: _ClassVar[int]
    PID_NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    peers: _containers.RepeatedCompositeFieldContainer[Peer]
    pid_namespace: int
    def __init__(self, peers: _Optional[_Iterable[_Union[Peer, _Mapping]]] = ..., pid_namespace: _Optional[int] = ...) -> None: ...

class Peer(_message.Message):
    __slots__ = ("endpoint", "pid", "uid", "connected_seconds", "messages", "received_bytes", "sent_bytes")
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_BYTES_FIELD_NUMBER: _ClassVar[int]
    SENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    endpoint: str
    pid: int
    uid: int
    connected_seconds: float
    messages: int
    received_bytes: int
    sent_bytes: int
    def __init__(self, endpoint: _Optional[str] = ..., pid: _Optional[int] = ..., uid: _Optional[int] = ..., connected_seconds: _Optional[float] = ..., messages: _Optional[int] = ..., received_bytes: _Optional[int] = ..., sent_bytes: _Optional[int] = ...) -> None: ...

class EventsRequest(_message.Message):
    __slots__ = ("follow", "recent")
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    RECENT_FIELD_NUMBER: _ClassVar[int]
    follow: bool
    recent: int
    def __init__(self, follow: _Optional[bool] = ..., recent: _Optional[int] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("time", "kind", "endpoint", "text", "state", "uid", "pid", "dropped")
    TIME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    time: float
    kind: str
    endpoint: str
    text: str
    state: str
    uid: int
    pid: int
    dropped: int
    def __init__(self, time: _Optional[float] = ..., kind: _Optional[str] = ..., endpoint: _Optional[str] = ..., text: _Optional[str] = ..., state: _Optional[str] = ..., uid: _Optional[int] = ..., pid: _Optional[int] = ..., dropped: _Optional[int] = ...) -> None: ...

class ConfigRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ConfigReply(_message.Message):
    __slots__ = ("toml",)
    TOML_FIELD_NUMBER: _ClassVar[int]
    toml: str
    def __init__(self, toml: _Optional[str] = ...) -> None: ...
