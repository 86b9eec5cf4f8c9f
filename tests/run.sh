# Every test; sourced by ./sylvester test, which has installed and built what is needed.
# Ends with the number of executed tests and fails when fewer ran than tests/expected-count records.
results=$build/test-results
rm -rf "$results" && mkdir -p "$results"

echo '== Format'
(cd "$root" && git ls-files -z '*.cc' '*.h' '*.cu' '*.cuh' | xargs -0 clang-format-14 --dry-run -Werror)

echo '== Native'
# start NAME PRESET PROGRAM: runs native tests beside what follows; their output comes at the end.
declare -A started
start() {
  "$build/$2/tests/native/$3" --gtest_brief=1 --gtest_output="xml:$results/$1.xml" >"$results/$1.log" 2>&1 &
  started[$1]=$!
}
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT

step 'Building the native tests' native-tests native_build release
if [[ -e $build/release/libsylvester_cuda.so ]]; then
  "$root/native/cuda/report/write_report" "$build/release" >/dev/null  # fails when a kernel spills
fi
start native release sylvester_tests
start native-cuda release sylvester_cuda_tests
step 'Building the native tests with address and undefined-behaviour sanitizers' native-asan native_build asan-ubsan
start native-asan asan-ubsan sylvester_tests
start native-cuda-asan asan-ubsan sylvester_cuda_tests

echo '== Java'
"$JAVA_HOME/bin/java" -jar "$root"/java/runner/target/sylvester-runner-*-cli.jar pull smollm2
find "$root" -path '*/target/surefire-reports' -prune -exec rm -rf {} +
mvn -B -ntp -f "$root/pom.xml" verify

for name in native native-cuda native-asan native-cuda-asan; do
  echo "== Native: $name"
  wait "${started[$name]}" || { cat "$results/$name.log" && fail "tests of $name failed"; }
  cat "$results/$name.log"
done

# count FILE...: executed tests in JUnit reports, less those that only run where AVX-512 is.
count() {
  cat "$@" | grep -o '<testcase [^>]*' | grep -vc 'avx512' || true
}
native=$(count "$results"/native*.xml)
java=$(find "$root" -path '*/target/surefire-reports/TEST-*.xml' -print0 | xargs -0 cat >"$results/java.xml" && count "$results/java.xml")
skipped=$(cat "$results"/*.xml | grep -Ec '<skipped|status="notrun"' || true)
read -r expected_native expected_java <"$root/tests/expected-count"
echo "native tests: $native (recorded: $expected_native), Java tests: $java (recorded: $expected_java), skipped: $skipped"
[[ $skipped -eq 0 ]] || fail "$skipped tests were skipped"
((native >= expected_native && java >= expected_java)) || fail 'fewer tests ran than tests/expected-count records'
echo "$((native + java)) passed, 0 failed"
