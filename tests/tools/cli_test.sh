#!/usr/bin/env bash
# The command line from end to end against a cluster of its own: every verb, its output, its exit code.
#   cli_test.sh BUILD_DIR SOURCE_DIR
set -uo pipefail
build=$(cd "$1" && pwd)
sample=$build/samples/hello_service.so
. "$(dirname "$0")/checks.sh" "$1"

cat >f.cpp <<'EOF'
#include <berth/berth.hpp>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>
int add(int a, int b) { return a + b; }
int boom(int how) { if (how > 0) std::abort(); return how; }
int no(int) { throw std::runtime_error("the answer is no"); }
berth::stream<int> count(int n) { for (int i = 1; i <= n; ++i) co_yield i; }
std::vector<int> twice(std::vector<int> xs) { for (auto& x : xs) x *= 2; return xs; }
int at(std::vector<int> w, std::size_t i) { return w.at(i); }
std::string env(std::string name) { const char* v = std::getenv(name.c_str()); return v ? v : "unset"; }
std::string file(std::string path) { std::ifstream in(path); std::string line; std::getline(in, line); return line; }
BERTH_EXPORT(&at).params("w", "i");
BERTH_EXPORT(&env);
BERTH_EXPORT(&file);
BERTH_EXPORT(&add).params("a", "b").idempotent();
BERTH_EXPORT(&boom);
BERTH_EXPORT(&no);
BERTH_EXPORT(&count).params("n");
BERTH_EXPORT(&twice).params("xs");
EOF

check "help leads with commands" 0 'ship +Build code' "$berth" --help
check "every command has examples" 0 'Examples:' "$berth" ship --help
check "a mistyped command is guessed" 2 "Did you mean 'berth status'" "$berth" statsu
check "no cluster is said with what to do" 3 'berth up' "$berth" ls
check "other addresses are refused and TLS named" 4 'TLS' "$berth" up --listen 0.0.0.0:7000
check "up" 0 'berth is up' "$berth" up
check "a second up says the folder is in use" 6 'in use|runs' "$berth" up
check "status" 0 'lane +ring' "$berth" status
check "status as JSON" 0 '"cluster": "local"' "$berth" status -o json
check "ship all exports" 0 't/add@1' "$berth" ship f.cpp --as t/
check "ship one export under a tag" 0 'lab/add@1' "$berth" ship f.cpp::add --as lab/add --tag prod --why first
check "shipping the same again changes nothing" 0 'nothing changed' "$berth" ship f.cpp::add --as lab/add --tag prod
check "several exports need a choice" 2 'add' "$berth" ship f.cpp --as lab/all
check "call by position" 0 '^5$' "$berth" call t/add 2 3
check "call by name" 0 '^5$' "$berth" call lab/add@prod b=3 a=2
check "call pinned" 0 '^5$' "$berth" call lab/add@1 2 3
check "a wrong argument names the path" 2 'a' "$berth" call t/add '"x"' 3
check "an unknown name offers the nearest" 3 't/add' "$berth" call t/ad 1 2
check "an unknown tag" 3 'staging' "$berth" call t/add@staging 1 2
check "the function's own no is exit code 1" 1 'the answer is no' "$berth" call t/no 1
check "a crash names the signal" 5 'SIGABRT' "$berth" call t/boom 1
check "and the worker is replaced" 0 '^0$' "$berth" call t/boom 0
check "an array is one argument" 0 '^\[2, 4\]$' "$berth" call t/twice '[1,2]'
check "stream" 0 '^3$' "$berth" stream t/count 3
printf '[1,2]\n[3,4]\n{"a":5,"b":6}\n' >items.jsonl
check "map" 0 '"item": 2, "result": 11' "$berth" map t/add items.jsonl
check "map tells a bad line" 2 'bad.jsonl:1' bash -c "echo '[1,' >bad.jsonl; '$berth' map t/add bad.jsonl"
check "out writes what @file reads" 0 '^\[4, 8\]$' bash -c "'$berth' call t/twice '[1,2]' --out v.bin && '$berth' call t/twice @v.bin"
check "a bound argument leaves the signature" 0 'bound/at@1' "$berth" ship f.cpp::at --as bound/at --with w=@v.bin
check "and is there" 0 '^4$' "$berth" call bound/at 1
check "JSON can be bound too" 0 '^9$' bash -c "'$berth' ship f.cpp::at --as bound/at --with 'w=[7,8,9]' && '$berth' call bound/at i=2"
echo 'a line' >words.txt
check "a file for the worker's folder" 0 '^"a line"$' bash -c "'$berth' ship f.cpp::file --as lab/file --file words.txt=data/words.txt && '$berth' call lab/file data/words.txt"
check "a variable" 0 '^"grün"$' bash -c "'$berth' ship f.cpp::env --as lab/env --env COLOUR=grün && '$berth' call lab/env COLOUR"
printf '#include <berth/module.hpp>\nint half(int);\nint quarter(int x) { return half(half(x)); }\nBERTH_EXPORT(&quarter);\n' >quarter.cpp
echo 'int half(int x) { return x / 2; }' >half.cpp
check "several sources" 0 '^3$' bash -c "'$berth' ship quarter.cpp half.cpp --as lab/quarter && '$berth' call lab/quarter 12"
check "a shared object" 0 'Ada' bash -c "'$berth' ship '$sample' --as lab/so && '$berth' call lab/so '\"Ada\"'"
mkdir own && cat >own/CMakeLists.txt <<EOC
cmake_minimum_required(VERSION 3.16)
project(own CXX)
add_library(score MODULE ../quarter.cpp ../half.cpp)
target_include_directories(score PRIVATE $(paste -sd' ' "$build/berth-include-path"))
set_target_properties(score PROPERTIES CXX_STANDARD 20 CXX_VISIBILITY_PRESET hidden)
EOC
cmake -S own -B own/build >/dev/null
check "a target of one's own build" 0 '^2$' bash -c "'$berth' ship --target score --build-dir own/build --as lab/target && '$berth' call lab/target 8"
check "an unknown target names those there are" 3 'score' "$berth" ship --target scores --build-dir own/build --as lab/target
sed -i 's/return a + b;/return a + b + 100;/' f.cpp
check "a new version" 0 'lab/add@2' "$berth" ship f.cpp::add --as lab/add
check "latest moved" 0 '^105$' "$berth" call lab/add 2 3
check "prod did not" 0 '^5$' "$berth" call lab/add@prod 2 3
check "canary" 0 '@1 90 %, @2 10 %' "$berth" tag lab/add prod=@1:90,@2:10 --why canary
check "promote" 0 '→ @2' "$berth" tag lab/add prod=@2 --why promote
check "promoted" 0 '^105$' "$berth" call lab/add@prod 2 3
check "a stale expectation is a conflict" 6 'revision' "$berth" tag lab/add prod=@1 --expect 1
check "rollback" 0 '@1 90 %' "$berth" rollback lab/add prod
check "yank is refused while tagged" 6 'latest|prod' "$berth" yank lab/add 2
check "back to one" 0 '@1' "$berth" tag lab/add prod=@1 latest=@1
check "yank" 0 '.' "$berth" yank lab/add 2 --why wrong
check "a yanked version answers when pinned" 0 '^105$' "$berth" call lab/add@2 2 3
check "and takes no tag" 6 'yank' "$berth" tag lab/add prod=@2
check "history" 0 'canary' "$berth" history lab/add prod
check "ls" 0 'lab/add' "$berth" ls lab/
check "describe" 0 'int \(int a, int b\)' "$berth" describe lab/add
check "ps" 0 'lab/add@1 +ready' "$berth" ps lab/
check "stats count exactly" 0 't/boom +@1 +outcome_unknown +1' "$berth" stats t/boom
check "logs" 0 '' "$berth" logs t/
check "restart" 0 '.' "$berth" restart t/add
check "after the restart" 0 '^105$|^5$' "$berth" call t/add 2 3
echo 'int f( { }' >bad.cpp
check "a compiler error is shown" 2 'bad.cpp:1' "$berth" ship bad.cpp --as lab/add
check "and the old version serves on" 0 '^5$' "$berth" call lab/add@prod 2 3
check "secrets are refused in the environment" 2 'TOKEN' "$berth" ship f.cpp::add --as lab/env --env API_TOKEN=x
check "config shows origins" 0 'built in' "$berth" config --show-origin
check "completion" 0 'complete -o default -F _berth berth' "$berth" completion bash
completed() {  # LINE: what bash offers at its end
  PATH="$build/bin:$PATH" bash -c 'source <(berth completion bash); COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDBREAKS=$2
    _berth 2>/dev/null; printf "%s\n" "${COMPREPLY[@]}"' - "$1" $' \t\n"\'@><=;|&(:'
}
check "bash completes commands" 0 '^restart$' completed "berth rest"
check "and options" 0 '^--target$' completed "berth ship --ta"
check "and names" 0 '^lab/add$' completed "berth call lab/a"
check "and tags, of which bash sees only what follows the @" 0 '^prod$' completed "berth call lab/add@p"
check "and outputs" 0 '^json$' completed "berth ls -o j"
for shell in zsh fish; do check "there is one for $shell" 0 'berth __complete' "$berth" completion $shell; done
check "a shell there is none for" 2 'bash, zsh, fish' "$berth" completion tcsh
for verb in status ls "ls lab/" ps stats "history lab/add" "describe lab/add" "logs t/ -n 3" config; do
  # shellcheck disable=SC2086
  check "berth $verb as JSON" 0 '^\{.*\}$' "$berth" $verb -o json
done
check "completion of names" 0 '^lab/add$' "$berth" __complete berth call lab/
check "completion of commands" 0 '^ship$' "$berth" __complete berth sh
check "call here needs no cluster" 0 '^105$' "$berth" call f.cpp::add 2 3 --here
check "down" 0 'berth is down' "$berth" down
check "after down nothing answers" 3 'berth up' "$berth" call t/add 1 2
check "up again brings the names back" 0 'berth is up' "$berth" up
check "and their versions" 0 '^5$' "$berth" call lab/add@prod 2 3
check "down again" 0 'berth is down' "$berth" down
check "nothing is left running" 0 '' await 4 eval '[ -z "$(cluster_processes)" ]'
finish
