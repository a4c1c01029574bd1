"""Ten gateways, each as a table row: how its configuration is written, how it is started, where it logs.

A configuration is made from a Setting: where to listen, which upstreams, and the time limits in seconds. Each function returns
{file name: text}; `{dir}` in the row's command and logs is the run's own directory.
"""
from dataclasses import dataclass, field


@dataclass
class Setting:
    dir: str
    listen: str
    upstreams: list                     # ["10.77.0.21:8080", …]
    connect_s: float = 1
    read_s: float = 2
    keepalive_s: int = 60
    port: int = 80
    extra: dict = field(default_factory=dict)


@dataclass
class Gateway:
    name: str
    config: object
    command: list
    logs: list
    version: list


def ms(seconds):
    return int(seconds * 1000)


def nginx(s):
    servers = "\n".join(f"  server {u};" for u in s.upstreams)
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
 upstream app {{
{servers}
  keepalive 8;
  keepalive_timeout {s.keepalive_s}s;
 }}
 server {{
  listen {s.listen}:{s.port};
  location / {{
   proxy_pass http://app;
   proxy_http_version 1.1;
   proxy_set_header Connection "";
   proxy_set_header Host $host;
   proxy_connect_timeout {ms(s.connect_s)}ms; proxy_read_timeout {ms(s.read_s)}ms; proxy_send_timeout {ms(s.read_s)}ms;
  }}
 }}
}}
"""}


def haproxy(s):
    servers = "\n".join(f" server s{i} {u}" for i, u in enumerate(s.upstreams, 1))
    return {"gateway.conf": f"""global
 log stdout format raw local0
 maxconn 300
defaults
 mode http
 log global
 option httplog
 timeout connect {ms(s.connect_s)}ms
 timeout client 20s
 timeout server {ms(s.read_s)}ms
 timeout http-keep-alive 20s
 retries 1
frontend front
 bind {s.listen}:{s.port}
 default_backend app
backend app
 http-reuse always
{servers}
"""}


def apache(s):
    modules = "\n".join(f"LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so" for m in (
        "mpm_event", "authz_core", "proxy", "proxy_http"))
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
CustomLog {s.dir}/access.log "%h %>s \\"%r\\""
Timeout 20
StartServers 1
ServerLimit 2
ThreadsPerChild 16
MaxRequestWorkers 32
ProxyPreserveHost on
ProxyPass / http://{s.upstreams[0]}/ connectiontimeout={ms(s.connect_s)}ms timeout={max(1, int(s.read_s))} retry=0
"""}


def varnish(s):
    host, _, port = s.upstreams[0].rpartition(":")
    return {"gateway.conf": f"""vcl 4.1;
backend b1 {{
 .host = "{host}"; .port = "{port}";
 .connect_timeout = {s.connect_s}s; .first_byte_timeout = {s.read_s}s; .between_bytes_timeout = {s.read_s}s;
}}
sub vcl_recv {{ return (pass); }}
"""}


def caddy(s):
    upstreams = " ".join("http://" + u for u in s.upstreams)
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
 reverse_proxy {upstreams} {{
  transport http {{
   dial_timeout {ms(s.connect_s)}ms
   response_header_timeout {ms(s.read_s)}ms
   read_timeout {ms(s.read_s) + 1000}ms
   keepalive {s.keepalive_s}s
   versions 1.1
  }}
 }}
}}
"""}


def squid(s):
    host, _, port = s.upstreams[0].rpartition(":")
    return {"gateway.conf": f"""http_port {s.listen}:{s.port} accel defaultsite=shop.example
cache_peer {host} parent {port} 0 no-query no-digest no-netdb-exchange originserver name=p1 connect-timeout={max(1, int(s.connect_s))}
http_access allow all
cache deny all
never_direct allow all
server_persistent_connections on
connect_timeout {max(1, int(s.connect_s))} seconds
read_timeout {max(1, int(s.read_s))} seconds
forward_timeout 8 seconds
connect_retries 0
forward_max_tries 1
pid_filename {s.dir}/squid.pid
cache_log {s.dir}/error.log
access_log stdio:{s.dir}/access.log
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
    host, _, port = s.upstreams[0].rpartition(":")
    return {"gateway.conf": f"""server.document-root = "{s.dir}"
server.modules = ( "mod_accesslog", "mod_proxy" )
server.bind = "{s.listen}"
server.port = {s.port}
server.errorlog = "{s.dir}/error.log"
accesslog.filename = "{s.dir}/access.log"
server.upload-dirs = ( "{s.dir}" )
proxy.debug = 1
proxy.server = ( "" => ( ( "host" => "{host}", "port" => {port},
 "connect-timeout" => {max(1, int(s.connect_s))}, "read-timeout" => {max(1, int(s.read_s))}, "write-timeout" => {max(1, int(s.read_s))} ) ) )
"""}


def nghttpx(s):
    backends = "\n".join("backend=" + u.replace(":", ",") for u in s.upstreams)
    return {"gateway.conf": f"""frontend={s.listen},{s.port};no-tls
{backends}
workers=1
single-process=yes
errorlog-file={s.dir}/error.log
accesslog-file={s.dir}/access.log
pid-file={s.dir}/nghttpx.pid
backend-connect-timeout={ms(s.connect_s)}ms
backend-read-timeout={ms(s.read_s)}ms
backend-write-timeout={ms(s.read_s)}ms
log-level=INFO
no-ocsp=yes
"""}


def h2o(s):
    return {"gateway.conf": f"""user: root
num-threads: 1
pid-file: {s.dir}/h2o.pid
error-log: {s.dir}/error.log
access-log: {s.dir}/access.log
listen:
  host: "{s.listen}"
  port: {s.port}
proxy.timeout.io: {ms(s.read_s)}
proxy.timeout.keepalive: {s.keepalive_s * 1000}
hosts:
  default:
    paths:
      "/":
        proxy.reverse.url: "http://{s.upstreams[0]}/"
"""}


def trafficserver(s):
    return {"records.config": f"""CONFIG proxy.config.http.server_ports STRING {s.port}:ip-in={s.listen}
CONFIG proxy.config.http.connect_attempts_timeout INT {max(1, int(s.connect_s))}
CONFIG proxy.config.http.connect_attempts_max_retries INT 0
CONFIG proxy.config.http.connect_attempts_max_retries_dead_server INT 0
CONFIG proxy.config.http.connect_attempts_rr_retries INT 0
CONFIG proxy.config.http.transaction_no_activity_timeout_out INT {max(1, int(s.read_s))}
CONFIG proxy.config.http.cache.http INT 0
CONFIG proxy.config.admin.user_id STRING #-1
CONFIG proxy.config.local_state_dir STRING {s.dir}/run
CONFIG proxy.config.log.logfile_dir STRING {s.dir}
CONFIG proxy.config.exec_thread.autoconfig INT 0
CONFIG proxy.config.exec_thread.limit INT 2
CONFIG proxy.config.url_remap.pristine_host_hdr INT 1
""", "remap.config": f"map / http://{s.upstreams[0]}/\n", "storage.config": f"{s.dir}/run 16M\n", "run/.keep": "", "ip_allow.yaml": """ip_allow:
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
                                 "-s", "malloc,16m"], ["gateway.out"], ["varnishd", "-V"]),
    Gateway("caddy", caddy, ["caddy", "run", "--adapter", "caddyfile", "--config", "{dir}/gateway.conf"], ["error.log"],
            ["caddy", "version"]),
    Gateway("squid", squid, ["squid", "-N", "-f", "{dir}/gateway.conf"], ["error.log", "access.log"], ["squid", "-v"]),
    Gateway("lighttpd", lighttpd, ["lighttpd", "-D", "-f", "{dir}/gateway.conf"], ["error.log", "access.log"], ["lighttpd", "-v"]),
    Gateway("nghttpx", nghttpx, ["nghttpx", "--conf={dir}/gateway.conf"], ["error.log", "access.log"], ["nghttpx", "--version"]),
    Gateway("h2o", h2o, ["h2o", "-c", "{dir}/gateway.conf"], ["error.log", "access.log"], ["h2o", "-v"]),
    Gateway("trafficserver", trafficserver, ["traffic_server", "--bind_stdout", "{dir}/gateway.out"], ["diags.log", "error.log"],
            ["traffic_server", "--version"]),
)}
