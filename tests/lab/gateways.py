"""Ten gateways, each as a table row: how its configuration is written, how it is started, where it logs.

A configuration is made from a Setting: where to listen, and which paths go to which upstreams. Each function returns
{file name: text}; `{dir}` in the row's commands is the run's own directory.
"""
from dataclasses import dataclass, field

import tls


@dataclass
class Route:
    path: str                           # "/" or "/part/"
    upstreams: list                     # ["10.77.0.21:8080", …]
    scheme: str = "http"                # or "https" (certificates are not looked at), or "h2c": HTTP/2 in plaintext
    connect_s: float = 1
    read_s: float = 2
    leave_out: bool = False             # an upstream that failed is not tried again for a while
    verify: bool = False                # https: its certificate must be of {dir}/ca.pem, and for tls.NAME
    named: bool = False                 # https: SNI is sent


@dataclass
class Setting:
    dir: str
    listen: str
    routes: list
    keepalive_s: int = 60
    port: int = 80


@dataclass
class Gateway:
    name: str
    config: object
    command: list
    logs: list
    version: list
    schemes: tuple = ("http", "https", "h2c")
    terse: bool = False                 # its log has requests and statuses, hardly ever a cause
    probes: bool = False                # it tries its upstreams by itself, and leaves out those that it cannot reach
    logger: list = field(default_factory=list)      # a program beside it that writes the log to gateway.log


def ms(seconds):
    return int(seconds * 1000)


def whole(seconds):
    return max(1, round(seconds))


def each(routes, function):
    return "\n".join(function(n, r) for n, r in enumerate(routes))


def host_port(upstream):
    host, _, port = upstream.rpartition(":")
    return host, port


def nginx(s):
    def upstream(n, r):
        several = 2 if r.leave_out else 1       # one by itself is never left out: ngx_http_upstream_module, max_fails
        servers = "\n".join(f"  server {u};" for u in r.upstreams * several)
        return f""" upstream app{n} {{
{servers}
  keepalive 8;
  keepalive_timeout {s.keepalive_s}s;
 }}"""

    def location(n, r):
        kind = "grpc" if r.scheme == "h2c" else "proxy"
        plain = '''proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;'''
        return f"""  location {r.path} {{
   {kind}_pass {"grpc" if kind == "grpc" else r.scheme}://app{n};
   {plain if kind == "proxy" else ""} {tls_words(r) if r.scheme == "https" else ""}
   {kind}_connect_timeout {ms(r.connect_s)}ms; {kind}_read_timeout {ms(r.read_s)}ms; {kind}_send_timeout {ms(r.read_s)}ms;
  }}"""

    def tls_words(r):
        words = f"proxy_ssl_protocols TLSv1.2 TLSv1.3; proxy_ssl_name {tls.NAME}; proxy_ssl_server_name {'on' if r.named else 'off'};"
        return words + (f" proxy_ssl_verify on; proxy_ssl_trusted_certificate {s.dir}/ca.pem;" if r.verify else "")

    return {"gateway.conf": f"""worker_processes 1;
daemon off;
user root;
pid {s.dir}/nginx.pid;
error_log {s.dir}/error.log info;
events {{ worker_connections 512; }}
http {{
 log_format lab '$status $upstream_addr $upstream_status $request_time "$request"';
 access_log {s.dir}/access.log lab;
 client_body_temp_path {s.dir}/t1; proxy_temp_path {s.dir}/t2; fastcgi_temp_path {s.dir}/t3;
 uwsgi_temp_path {s.dir}/t4; scgi_temp_path {s.dir}/t5;
{each(s.routes, upstream)}
 server {{
  listen {s.listen}:{s.port};
{each(s.routes, location)}
 }}
}}
"""}


def haproxy(s):
    def backend(n, r):
        verify = f"required ca-file {s.dir}/ca.pem verifyhost {tls.NAME}" if r.verify else "none"
        how = {"https": f" ssl ssl-min-ver TLSv1.2 verify {verify}" + (f" sni str({tls.NAME})" if r.named else ""), "h2c": " proto h2"}.get(r.scheme, "")
        if r.leave_out:
            how += " check inter 60s observe layer4 error-limit 1 on-error mark-down"
        servers = "\n".join(f" server s{i} {u}{how}" for i, u in enumerate(r.upstreams, 1))
        return f"""backend app{n}
 http-reuse always
 timeout connect {ms(r.connect_s)}ms
 timeout server {ms(r.read_s)}ms
{servers}"""

    return {"gateway.conf": f"""global
 log stdout format raw local0
 maxconn 300
defaults
 mode http
 log global
 option httplog
 option abortonclose
 timeout connect 1s
 timeout server 2s
 timeout client 20s
 timeout http-keep-alive 20s
 retries 1
frontend front
 bind {s.listen}:{s.port}
{each(s.routes, lambda n, r: f" use_backend app{n} if {{ path_beg {r.path} }}")}
{each(s.routes, backend)}
"""}


def apache(s):
    names = ["mpm_event", "authz_core", "proxy", "proxy_http"]
    names += ["proxy_http2"] if any(r.scheme == "h2c" for r in s.routes) else []
    names += ["ssl", "socache_shmcb"] if any(r.scheme == "https" for r in s.routes) else []
    modules = "\n".join(f"LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so" for m in names)
    tls = "SSLProxyEngine on\nSSLProxyVerify none\nSSLProxyCheckPeerName off" if "ssl" in names else ""
    return {"gateway.conf": f"""ServerRoot {s.dir}
ServerName shop.example
PidFile {s.dir}/apache.pid
DefaultRuntimeDir {s.dir}
Mutex posixsem
Listen {s.listen}:{s.port}
{modules}
User www-data
Group www-data
ErrorLog {s.dir}/error.log
LogLevel info
CustomLog {s.dir}/access.log "%h:%{{remote}}p %>s \\"%r\\""
Timeout 20
StartServers 1
ServerLimit 2
ThreadsPerChild 32
MaxRequestWorkers 64
ProxyPreserveHost on
{tls}
""" + each(s.routes, lambda n, r: f"ProxyPass {r.path} {r.scheme}://{r.upstreams[0]}{r.path} connectiontimeout={ms(r.connect_s)}ms "
           f"timeout={whole(r.read_s)} retry={60 if r.leave_out else 0}") + "\n"}


def varnish(s):
    def backend(n, r):
        host, port = host_port(r.upstreams[0])
        probe = " .probe = { .interval = 60s; .initial = 0; .window = 1; .threshold = 1; }" if r.leave_out else ""
        return f"""backend b{n} {{
 .host = "{host}"; .port = "{port}";
 .connect_timeout = {r.connect_s}s; .first_byte_timeout = {r.read_s}s; .between_bytes_timeout = {r.read_s}s;{probe}
}}"""

    return {"gateway.conf": f"""vcl 4.1;
{each(s.routes, backend)}
sub vcl_recv {{
{each(s.routes, lambda n, r: f' if (req.url ~ "^{r.path}") {{ set req.backend_hint = b{n}; }}')}
 return (pass);
}}
"""}


def caddy(s):
    def handle(n, r):
        upstreams = " ".join(("https" if r.scheme == "https" else "h2c" if r.scheme == "h2c" else "http") + "://" + u for u in r.upstreams)
        versions = {"http": "versions 1.1", "https": "tls_insecure_skip_verify\n   versions 1.1", "h2c": "versions h2c"}[r.scheme]
        out = "fail_duration 30s" if r.leave_out else ""
        return f""" handle {r.path}* {{
  reverse_proxy {upstreams} {{
   {out}
   transport http {{
    dial_timeout {ms(r.connect_s)}ms
    response_header_timeout {ms(r.read_s)}ms
    read_timeout {ms(r.read_s) + 1000}ms
    keepalive {s.keepalive_s}s
    {versions}
   }}
  }}
 }}"""

    return {"gateway.conf": f"""{{
 admin off
 auto_https off
 log {{
  output file {s.dir}/error.log
  level DEBUG
 }}
}}
http://:{s.port} {{
 bind {s.listen}
{each(s.routes, handle)}
}}
"""}


def squid(s):
    def peer(n, r):
        host, port = host_port(r.upstreams[0])
        out = " connect-fail-limit=1" if r.leave_out else ""
        # It counts in ticks of a clock of whole seconds: of one second nothing may be left.
        return f"""cache_peer {host} parent {port} 0 no-query no-digest no-netdb-exchange originserver name=p{n} connect-timeout={whole(r.connect_s) + 1}{out}
acl path{n} urlpath_regex ^{r.path}
cache_peer_access p{n} allow path{n}
cache_peer_access p{n} deny all"""

    return {"gateway.conf": f"""http_port {s.listen}:{s.port} accel defaultsite=shop.example
{each(s.routes, peer)}
http_access allow all
cache deny all
never_direct allow all
server_persistent_connections on
connect_timeout {whole(max(r.connect_s for r in s.routes))} seconds
read_timeout {whole(max(r.read_s for r in s.routes))} seconds
forward_timeout 8 seconds
connect_retries 0
forward_max_tries 1
pid_filename {s.dir}/squid.pid
cache_log {s.dir}/error.log
logformat lab %ts.%03tu %>a:%>p %Ss/%03>Hs %rm %ru %err_code/%err_detail
access_log stdio:{s.dir}/access.log lab
cache_mem 8 MB
coredump_dir {s.dir}
visible_hostname gateway
cache_effective_user proxy
netdb_filename none
pinger_enable off
shutdown_lifetime 1 seconds
debug_options ALL,1 11,2 17,2
"""}


def lighttpd(s):
    def server(n, r):
        host, port = host_port(r.upstreams[0])
        return f""" "{r.path}" => ( ( "host" => "{host}", "port" => {port},
 "connect-timeout" => {whole(r.connect_s)}, "read-timeout" => {whole(r.read_s)}, "write-timeout" => {whole(r.read_s)} ) ),"""

    return {"gateway.conf": f"""server.document-root = "{s.dir}"
server.modules = ( "mod_accesslog", "mod_proxy" )
server.bind = "{s.listen}"
server.port = {s.port}
server.errorlog = "{s.dir}/error.log"
accesslog.filename = "{s.dir}/access.log"
server.upload-dirs = ( "{s.dir}" )
proxy.debug = 1
proxy.server = (
{each(s.routes, server)}
)
"""}


def nghttpx(s):
    def backend(n, r):
        how = {"https": ";tls", "h2c": ";proto=h2"}.get(r.scheme, "")
        pattern = "" if r.path == "/" else r.path
        return "\n".join(f"backend={u.replace(':', ',')};{pattern}{how};read-timeout={ms(r.read_s)}ms;write-timeout={ms(r.read_s)}ms"
                         for u in r.upstreams)

    return {"gateway.conf": f"""frontend={s.listen},{s.port};no-tls
{each(s.routes, backend)}
{"" if s.routes[0].path == "/" else "backend=127.0.0.1,1;/"}
workers=1
single-process=yes
insecure=yes
errorlog-file={s.dir}/error.log
accesslog-file={s.dir}/access.log
pid-file={s.dir}/nghttpx.pid
backend-connect-timeout={ms(max(r.connect_s for r in s.routes))}ms
backend-read-timeout={ms(max(r.read_s for r in s.routes))}ms
backend-write-timeout={ms(max(r.read_s for r in s.routes))}ms
log-level=INFO
no-ocsp=yes
"""}


def h2o(s):
    def path(n, r):
        return f"""      "{r.path}":
        proxy.reverse.url: "{r.scheme}://{r.upstreams[0]}{r.path}"
        proxy.timeout.io: {ms(r.read_s)}
        proxy.timeout.keepalive: {s.keepalive_s * 1000}
        proxy.ssl.verify-peer: OFF"""

    return {"gateway.conf": f"""user: root
num-threads: 1
pid-file: {s.dir}/h2o.pid
error-log: {s.dir}/error.log
access-log: {s.dir}/access.log
listen:
  host: "{s.listen}"
  port: {s.port}
hosts:
  default:
    paths:
{each(s.routes, path)}
"""}


def trafficserver(s):
    return {"records.config": f"""CONFIG proxy.config.http.server_ports STRING {s.port}:ip-in={s.listen}
CONFIG proxy.config.http.connect_attempts_timeout INT {whole(max(r.connect_s for r in s.routes))}
CONFIG proxy.config.http.connect_attempts_max_retries INT 0
CONFIG proxy.config.http.connect_attempts_max_retries_dead_server INT 0
CONFIG proxy.config.http.connect_attempts_rr_retries INT 0
CONFIG proxy.config.http.transaction_no_activity_timeout_out INT {whole(max(r.read_s for r in s.routes))}
CONFIG proxy.config.http.cache.http INT 0
CONFIG proxy.config.ssl.client.verify.server.policy STRING DISABLED
CONFIG proxy.config.admin.user_id STRING #-1
CONFIG proxy.config.local_state_dir STRING {s.dir}/run
CONFIG proxy.config.log.logfile_dir STRING {s.dir}
CONFIG proxy.config.exec_thread.autoconfig INT 0
CONFIG proxy.config.exec_thread.limit INT 2
CONFIG proxy.config.url_remap.pristine_host_hdr INT 1
""", "remap.config": each(s.routes, lambda n, r: f"map {r.path} {r.scheme}://{r.upstreams[0]}{r.path}") + "\n",
        "storage.config": f"{s.dir}/run 16M\n", "run/.keep": "", "ip_allow.yaml": """ip_allow:
  - apply: in
    ip_addrs: 0/0
    action: allow
    methods: ALL
"""}


GATEWAYS = {g.name: g for g in (
    Gateway("nginx", nginx, ["nginx", "-p", "{dir}", "-c", "{dir}/gateway.conf"], ["error.log", "access.log"], ["nginx", "-v"]),
    Gateway("haproxy", haproxy, ["haproxy", "-db", "-f", "{dir}/gateway.conf"], ["gateway.out"], ["haproxy", "-v"]),
    Gateway("apache", apache, ["apache2", "-X", "-f", "{dir}/gateway.conf"], ["error.log", "access.log"], ["apache2", "-v"]),
    Gateway("varnish", varnish, ["varnishd", "-F", "-a", "{listen}:{port}", "-f", "{dir}/gateway.conf", "-n", "{dir}/run",
                                 "-s", "malloc,16m"], ["gateway.log", "gateway.out"], ["varnishd", "-V"], schemes=("http",),
            logger=["varnishlog", "-n", "{dir}/run", "-g", "request", "-t", "10"]),
    Gateway("caddy", caddy, ["caddy", "run", "--adapter", "caddyfile", "--config", "{dir}/gateway.conf"], ["error.log"],
            ["caddy", "version"]),
    Gateway("squid", squid, ["squid", "-N", "-f", "{dir}/gateway.conf"], ["error.log", "access.log"], ["squid", "-v"],
            schemes=("http",), probes=True),
    Gateway("lighttpd", lighttpd, ["lighttpd", "-D", "-f", "{dir}/gateway.conf"], ["error.log", "access.log"], ["lighttpd", "-v"],
            schemes=("http",)),
    Gateway("nghttpx", nghttpx, ["nghttpx", "--conf={dir}/gateway.conf"], ["error.log", "access.log"], ["nghttpx", "--version"], terse=True),
    Gateway("h2o", h2o, ["h2o", "-c", "{dir}/gateway.conf"], ["error.log", "access.log"], ["h2o", "-v"], schemes=("http", "https")),
    Gateway("trafficserver", trafficserver, ["traffic_server", "--bind_stdout", "{dir}/gateway.out"], ["diags.log", "error.log"],
            ["traffic_server", "--version"], schemes=("http", "https"), terse=True),
)}
