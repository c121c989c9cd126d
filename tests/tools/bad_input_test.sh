#!/usr/bin/env bash
# What goes wrong, seen by a person at the command line: each is an error that says what to do, and the house stands.
#   bad_input_test.sh BUILD_DIR SOURCE_DIR
set -uo pipefail
hostile=$(cd "$1" && pwd)/tests/tools/hostile
sample=$(cd "$1" && pwd)/samples/hello_service.so
. "$(dirname "$0")/checks.sh" "$1"

cat >f.cpp <<'EOC'
#include <berth/berth.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>
struct point { int x; std::vector<int> zs; };
struct doc { std::string title; std::vector<point> points; std::optional<int> n; };
int add(int a, int b) { return a + b; }
int size(doc d) { return static_cast<int>(d.points.size()); }
int how(std::string what) {
  std::printf("asked to %s\n", what.c_str());
  if (what == "exit") std::exit(3);
  if (what == "_exit") ::_exit(4);
  if (what == "abort") std::abort();
  if (what == "segv") *(volatile int*)nullptr = 1;
  if (what == "fork") return ::fork() == 0 ? 7 : 8;
  if (what == "fork and exit") { if (::fork() == 0) std::exit(0); return 9; }
  if (what == "close all") for (int fd = 0; fd < 1024; ++fd) ::close(fd);
  if (what == "garble all") for (int fd = 3; fd < 1024; ++fd) (void)!::write(fd, "nonsense", 8);
  return 0;
}
int nap(int ms) {
  for (; ms > 0 && !berth::here().stop_requested(); ms -= 10) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return ms > 0 ? -1 : 0;
}
std::string variable(std::string name) { const char* v = std::getenv(name.c_str()); return v ? v : "unset"; }
berth::stream<int> count(int n) { for (int i = 1; i <= n; ++i) { std::this_thread::sleep_for(std::chrono::milliseconds(20)); co_yield i; } }
BERTH_EXPORT(&add).params("a", "b").idempotent();
BERTH_EXPORT(&size).params("d");
BERTH_EXPORT(&how).params("what");
BERTH_EXPORT(&nap).params("ms");
BERTH_EXPORT(&variable).params("name");
BERTH_EXPORT(&count).params("n");
EOC
cat >m.cpp <<'EOC'
#include <berth/module.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
struct model {
  std::string mood;
  explicit model(std::string m) : mood(m) {
    std::printf("constructing %s\n", mood.c_str());
    if (mood == "throws") throw std::invalid_argument("no weights");
    if (mood == "crashes") std::abort();
    if (mood == "leaves") std::exit(0);
    if (mood == "slow") std::this_thread::sleep_for(std::chrono::seconds(30));
    current() = mood;
  }
  static std::string& current() { static std::string text; return text; }
  std::string get() { return mood; }
};
void check() {
  if (model::current() == "unwell") throw std::runtime_error("I feel sick");
  if (model::current() == "hangs") std::this_thread::sleep_for(std::chrono::seconds(60));
}
BERTH_CLASS(model(std::string), get);
BERTH_HEALTH(&check);
EOC

# --- folders, ports, paths -----------------------------------------------------------------------------------------------
long=$work/$(printf 'x%.0s' $(seq 120))
check "a path too long for a socket" 2 'BERTH_RUNTIME_DIR' env BERTH_RUNTIME_DIR="$long" "$berth" up
touch file
check "a folder that is a file" 1 'file' env BERTH_RUNTIME_DIR="$work/file" "$berth" up
check "an address that is not loopback" 4 'TLS' "$berth" up --listen 192.168.1.1
check "a head that is not there" 5 'nowhere' env BERTH_HEAD="unix:$work/nowhere" "$berth" ls
check "a head that is no address" 3 'no cluster runs in' env BERTH_HEAD="http://x" "$berth" ls
check "up" 0 'berth is up' "$berth" up
check "a folder in use" 6 'in use|runs' "$berth" up
check "a state folder in use by another cluster" 6 'another cluster uses' env BERTH_RUNTIME_DIR="$work/run2" "$berth" up

# --- what was shipped does not fit ---------------------------------------------------------------------------------------
check "the functions" 0 't/add@1' "$berth" ship f.cpp --as t/
check "an argument names its path" 2 'd\.points\[1\]\.x: expected int' "$berth" call t/size '{"title":"a","points":[{"x":1,"zs":[]},{"x":"q","zs":[]}]}'
check "and an item of a list" 2 'd\.points\[0\]\.zs\[2\]' "$berth" call t/size '{"title":"a","points":[{"x":1,"zs":[1,2,"3"]}]}'
check "an unknown field and those there are" 2 'd\.foo: unknown field.*title, points, n' "$berth" call t/size '{"title":"a","points":[],"foo":3}'
check "JSON that breaks off" 2 'JSON' "$berth" call t/size '{"title":"a","points":['
check "too many arguments" 2 '3 arguments for 2 parameters' "$berth" call t/add 1 2 3
check "an unknown parameter" 2 'c: no such parameter' "$berth" call t/add a=1 c=2
check "positions and names" 2 'by position, or all as NAME=VALUE' "$berth" call t/add 1 b=2
check "an unknown name offers the nearest" 3 "t/add" "$berth" call t/addd 1 2
check "an unknown version" 3 '@9' "$berth" call t/add@9 1 2
check "a name that cannot be one" 2 'bad_ref|bad_name' "$berth" call 't//add' 1 2
check "a file that is not there" 3 'nothing.json' "$berth" call t/add @nothing.json 1
check "a duration without a unit" 2 '250ms' "$berth" call t/nap 1 --within 5
check "a setting that does not fit" 2 'call.patience_ms' env BERTH_CALL_PATIENCE_MS=long "$berth" call t/add 1 2
check "a deadline" 5 'timed_out' "$berth" call t/nap 5000 --within 100ms
check "an item of a map that does not fit" 1 '"item": 1, "error": .*invalid' bash -c "printf '[1,2]\n[1,\"x\"]\n' | '$berth' map t/add -"

# --- modules -------------------------------------------------------------------------------------------------------------
head -c 5000 "$sample" >truncated.so
check "a truncated module" 2 'truncated' "$berth" ship truncated.so --as b/m
cp "$sample" foreign.so && printf '\xb7' | dd of=foreign.so bs=1 seek=18 conv=notrunc 2>/dev/null
check "a module for another architecture" 2 'built for aarch64' "$berth" ship foreign.so --as b/m
echo text >text.so
check "a file that is no module" 2 'no shared object' "$berth" ship text.so --as b/m
check "a program" 2 'true' "$berth" ship /bin/true --as b/m
check "a module that is not there" 3 'nothing.so' "$berth" ship nothing.so --as b/m
check "a source that is not there" 3 'nothing.cpp' "$berth" ship nothing.cpp --as b/m
printf '#include <berth/module.hpp>\nint f() { return 1; }\n' >plain.cpp
check "a module without exports" 2 'plain.cpp.*BERTH_EXPORT' "$berth" ship plain.cpp --as b/m
check "an export that is not there" 3 'exports no nope; it exports add' "$berth" ship f.cpp::nope --as b/m
check "a bound parameter that is not there" 2 'no parameter w' "$berth" ship f.cpp::add --as b/m --with w=1
check "a bound value that does not fit" 2 'expected int.*' "$berth" ship f.cpp::add --as b/m --with a=x
check "a constructor left open" 2 '--with for arg0' "$berth" ship m.cpp --as b/m
check "the first version" 0 'b/m@1' "$berth" ship m.cpp --as b/m --with arg0=good --tag prod
check "a constructor that throws" 1 'std::invalid_argument: no weights' "$berth" ship m.cpp --as b/m --with arg0=throws --tag prod
check "one that crashes names signal and version at once" 1 'b/m@3 \(pid [0-9]+\) ended by SIGABRT before it could serve' "$berth" ship m.cpp --as b/m --with arg0=crashes --tag prod
check "and its last lines" 1 '\| constructing crashes' "$berth" ship m.cpp --as b/m --with arg0=crashes --tag prod
check "one that ends the process" 1 'exit code 0 before it could serve' "$berth" ship m.cpp --as b/m --with arg0=leaves --tag prod
check "a health call that fails" 1 'I feel sick' "$berth" ship m.cpp --as b/m --with arg0=unwell --tag prod
check "one that hangs" 5 'did not end within 5000 ms' "$berth" ship m.cpp --as b/m --with arg0=hangs --tag prod
check "the old version serves on under the tag" 0 '^"good"$' "$berth" call b/m@prod
check "and as latest" 0 '^"good"$' "$berth" call b/m
echo 'int f( { }' >bad.cpp
check "a source that does not compile" 2 'bad.cpp:1:.*error' "$berth" ship bad.cpp --as b/m --tag prod
check "the old version serves on" 0 '^"good"$' "$berth" call b/m@prod
check "another build's target" 3 'no CMake build folder' "$berth" ship --target x --build-dir "$work" --as b/m
if command -v objcopy >/dev/null; then
  mkdir twin
  printf 'int other() { return 1; }\n' >twin/other.cpp
  printf '#include <berth/module.hpp>\nint other();\nint f() { return other(); }\nBERTH_EXPORT(&f);\n' >twin/f.cpp
  g++ -shared -fPIC -Wl,--build-id=0xabcdef01 -Wl,-soname,libother.so twin/other.cpp -o twin/libother.so
  check "two images of one build id" 2 'both claim build id abcdef01' "$berth" ship twin/f.cpp --as b/twin --link "-Wl,--build-id=0xabcdef01 -L$work/twin -lother -Wl,-rpath,$work/twin"
fi

# --- secrets -------------------------------------------------------------------------------------------------------------
printf '# comment\n\nAPI_TOKEN=hunter2\nPLAIN=a=b\n' >secrets.env
check "a secret on the command line" 2 'env-file' "$berth" ship f.cpp::variable --as s/v --env API_TOKEN=x
check "a secret in a file" 0 's/v@1' "$berth" ship f.cpp::variable --as s/v --env-file secrets.env --env SHOWN=1
check "reaches the worker" 0 '^"hunter2"$' "$berth" call s/v API_TOKEN
check "as do its neighbours" 0 '^"a=b"$' "$berth" call s/v PLAIN
check "the same secrets are the same version" 0 'nothing changed' "$berth" ship f.cpp::variable --as s/v --env-file secrets.env --env SHOWN=1
for command in "describe s/v" "describe s/v -o json" "ls -o json" "ps -o json" "history s/v -o json" "logs s/" "config"; do
  # shellcheck disable=SC2086
  check "no secret in berth $command" 1 '^0$' bash -c "'$berth' $command | grep -c hunter2"
done
check "nor in its names" 1 '^0$' bash -c "'$berth' describe s/v | grep -c API_TOKEN"
check "other variables are shown" 0 'SHOWN' "$berth" describe s/v
echo 'hunter2' >broken.env
check "a line of the file that is none" 2 'broken.env:1 is not NAME=VALUE' "$berth" ship f.cpp::variable --as s/v --env-file broken.env
echo 'LD_PRELOAD=x' >loader.env
check "a variable of the loader" 2 'loader.env:1' "$berth" ship f.cpp::variable --as s/v --env-file loader.env

# --- functions that misbehave --------------------------------------------------------------------------------------------
check "exit" 5 'exit code 3' "$berth" call t/how exit
check "_exit, with its last line" 5 '\| asked to _exit' "$berth" call t/how _exit
check "abort" 5 'SIGABRT' "$berth" call t/how abort
check "a wild pointer" 5 'SIGSEGV at address 0x0' "$berth" call t/how segv
check "fork" 0 '^8$' "$berth" call t/how fork
check "fork, and the child ends" 0 '^9$' "$berth" call t/how '"fork and exit"'
check "closing all descriptors" 0 '.' bash -c "timeout 20 '$berth' call t/how '\"close all\"'; [ \$? -le 5 ]"
check "writing into all descriptors" 0 '.' bash -c "timeout 20 '$berth' call t/how '\"garble all\"'; [ \$? -le 5 ]"
check "the next call finds a worker" 0 '^0$' "$berth" call t/how nothing
check "and the others went on" 0 '^3$' "$berth" call t/add 1 2

# --- garbage at every listener -------------------------------------------------------------------------------------------
memory_of() { awk '/VmHWM/ {print $2}' "/proc/$1/status"; }
head_pid=$("$berth" status -o json | grep -oE '"head_pid": [0-9]+' | grep -oE '[0-9]+')
port=$("$berth" status -o json | grep -oE '127.0.0.1:[0-9]+' | cut -d: -f2)
worker=$("$berth" ps t/add -o json | grep -oE 'worker:[0-9]+' | head -1)
worker_pid=$("$berth" ps t/add -o json | grep -oE '"pid": [0-9]+' | grep -oE '[0-9]+' | head -1)
check "garbage at the node's socket" 0 seed "$hostile" garbage "unix:$work/run/control.sock"
check "at its TCP port" 0 seed "$hostile" garbage "tcp:$port"
check "at the control actor" 0 seed "$hostile" garbage "unix:$work/run/control.sock" control
check "at a worker" 0 seed "$hostile" garbage "unix:$work/run/control.sock" "$worker"
check "at a worker that is not there" 0 seed "$hostile" garbage "unix:$work/run/control.sock" worker:99999
check "the head is the same and small" 0 '' [ "$(memory_of "$head_pid")" -lt 200000 ]
check "the worker is the same and small" 0 '' [ "$(memory_of "$worker_pid")" -lt 200000 ]
check "calls go on" 0 '^3$' "$berth" call t/add 1 2

# --- Ctrl-C --------------------------------------------------------------------------------------------------------------
export TMPDIR="$work/tmp" && mkdir tmp
printf '[20000]\n[20000]\n' >naps.jsonl
# A source the compiler is busy with for long.
cat >slow.cpp <<'EOC'
#include <berth/module.hpp>
template <int N, int M> struct tree { static constexpr int value = tree<N - 1, M * 2>::value + tree<N - 1, M * 2 + 1>::value; };
template <int M> struct tree<0, M> { static constexpr int value = M; };
int f() { return tree<22, 1>::value; }
BERTH_EXPORT(&f);
EOC
interrupt "a call" '"$berth" ps t/nap -o json | grep -qE "\"links\": [1-9]"' '' "$berth" call t/nap 20000
check "which stops its callee" 0 '' await 5 eval '"$berth" ps t/nap -o json | grep -qE "\"links\": 0"'
interrupt "a stream" 'grep -q 3 out.txt' '3' "$berth" stream t/count 100000
interrupt "a map" '"$berth" ps t/nap -o json | grep -qE "\"links\": [1-9]"' '' "$berth" map t/nap naps.jsonl
interrupt "watch" 'grep -q publish out.txt' 'publish' "$berth" watch --from 1
interrupt "logs" 'grep -q asked out.txt' 'asked' "$berth" logs t/how -f
interrupt "a build" 'runs cc1plus "$work/slow.cpp"' 'cancelled' "$berth" ship slow.cpp --as c/slow
check "whose compiler has ended" 0 '' await 3 eval '! runs cc1plus "$work/slow.cpp"'
interrupt "a start" '"$berth" ps b/m -o json | grep -q starting' 'cancelled' "$berth" ship m.cpp --as b/m --with arg0=slow --tag prod
check "which moved no tag" 0 '^"good"$' "$berth" call b/m@prod
interrupt "dev" 'grep -q Watching out.txt' 'Watching' "$berth" dev f.cpp::add --as c/dev
interrupt "a call here" 'runs berth-worker --manifest' '' "$berth" call t/nap 20000 --here
check "which leaves no worker" 0 '' await 3 eval '! runs berth-worker --manifest'
check "nor a folder" 0 '' eval '[ -z "$(ls -A tmp)" ]'

# --- after down ----------------------------------------------------------------------------------------------------------
"$berth" stream t/count 100000 >stream.txt 2>&1 &
stream=$!
await 10 grep -q 3 stream.txt
check "down" 0 'berth is down' "$berth" down --drain 200
wait "$stream"
verdict "what was open ends with an error" $? 5 'disconnected|outcome_unknown' "$(cat stream.txt)"
check "a call after down" 3 'berth up' "$berth" call t/add 1 2
check "a second down" 3 'no cluster runs' "$berth" down
interrupt "up --foreground" '"$berth" status' 'stopping' "$berth" up --foreground
check "nothing is left running" 0 '' await 4 eval '[ -z "$(cluster_processes)" ]'

# --- no memory files -----------------------------------------------------------------------------------------------------
if "$hostile" without-memfd true; then
  check "up without memfd" 0 'berth is up' "$hostile" without-memfd "$berth" up
  check "status names the lane and the reason" 0 'lane +unix.*memfd' "$berth" status
  check "calls go over the Unix socket" 0 '^3$' "$berth" call t/add 1 2
  check "down" 0 'berth is down' "$berth" down
fi
finish
