// A language model, if a small one, streams tokens: the reader sets the pace and may stop at any time.
//
// The model is a table of word pairs and what followed them, trained here on the text given on the command line. The
// function that tells a story runs in a worker; it makes a token only when the reader has room for it.
#include <berth/berth.hpp>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

struct token {
  std::string word;
  int number = 0;  // of the tokens made so far, this one included
};

using model = std::map<std::pair<std::string, std::string>, std::vector<std::string>>;

model trained_on(const std::string& text) {
  model followers;
  std::istringstream words(text);
  std::string before, last, word;
  while (words >> word) {
    if (!before.empty()) followers[{before, last}].push_back(word);
    before = std::exchange(last, word);
  }
  return followers;
}

// What was learned is a parameter like any other; it travels once, when the stream begins.
berth::stream<token> tell(std::string text, std::string first, std::string second, unsigned seed) {
  const auto followers = trained_on(text);
  std::mt19937 chance(seed);
  int made = 0;
  while (!berth::here().stop_requested()) {
    const auto next = followers.find({first, second});
    if (next == followers.end()) co_return;
    const auto& choice = next->second[chance() % next->second.size()];
    first = std::exchange(second, choice);
    token one{second,
              ++made};  // g++ 12 destroys an aggregate written inside co_yield twice: name it
    co_yield std::move(one);
  }
}

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: token_stream TEXT_FILE\n");
    return 2;
  }
  std::ifstream file(argv[1]);
  const std::string text{std::istreambuf_iterator<char>(file), {}};

  auto rt = berth::connect();
  auto story = rt.on("local").send<&tell>();

  int read = 0;
  int longest_lead = 0;
  std::string line;
  for (auto& one : story(text, "the", "Work", 7U)) {
    ++read;
    longest_lead = std::max(longest_lead, one.number - read);
    line += one.word + " ";
    if (read == 400) break;  // the reader has enough: the maker is told to stop
  }
  std::printf("%s\n", line.substr(0, 72).c_str());
  std::printf("%d tokens read, %s\n", read,
              longest_lead == 0 ? "in order, none lost" : "out of order");
}
