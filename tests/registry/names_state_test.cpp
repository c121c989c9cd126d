#include "registry/names_state.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <random>

namespace {

using namespace berth::registry;
using berth::kind;
using berth::result;

void must(const result<outcome>& out) {
  ASSERT_TRUE(out) << out.error().to_string();
}

std::string digest(int n) {
  return fmt::format("{:064x}", n);
}

/// A signature "breaks" when the caller's text is not a prefix of the version's.
result<void> prefix_check(std::string_view caller, std::string_view, std::string_view offered) {
  if (offered.starts_with(caller)) return {};
  return berth::fail(kind::invalid, "signature", "field 'confidence' is gone");
}

/// A names plane whose every request is durable at once.
struct plane {
  names_state state{prefix_check};
  time_us now = 1000;
  std::vector<entry> rows;

  result<outcome> ask(request what) {
    state.submit(1, std::move(what));
    auto batch = state.next_batch(now += 10);
    EXPECT_TRUE(batch);
    auto done = state.committed();
    rows.insert(rows.end(), done.rows.begin(), done.rows.end());
    return done.answers.at(0).what;
  }

  result<outcome> publish(std::string name, int n, std::string id = {}) {
    publish_request what;
    what.name = std::move(name);
    what.facts.digest = digest(n);
    what.facts.signatures = "f(a)->b";
    return ask({std::move(id), "ann", "shipped", std::move(what)});
  }

  result<outcome> flip(std::string name,
                       std::string tag,
                       std::vector<part> split,
                       std::optional<std::uint64_t> expect = std::nullopt,
                       std::string id = {}) {
    return ask(
        {std::move(id), "ann", "why",
         flip_request{{{std::move(name), std::move(tag), std::move(split), expect}}, {}, false}});
  }

  result<outcome> yank(std::string name, std::uint32_t version, bool undo = false) {
    return ask({"", "ann", "bad", yank_request{std::move(name), version, undo}});
  }

  resolved at(std::string_view text) { return *state.resolve(*parse_ref(text)); }
};

TEST(names_state, publishing_makes_the_name_and_numbers_versions_from_one) {
  plane p;
  EXPECT_EQ(p.publish("a/b", 1)->version, 1u);
  EXPECT_EQ(p.publish("a/b", 2)->version, 2u);
  EXPECT_EQ(p.state.revision(), 3u);  // create, publish, publish
  EXPECT_EQ(p.state.log()[0].op, change_op::create);
}

TEST(names_state, the_same_identity_is_the_same_version_and_no_new_row) {
  plane p;
  must(p.publish("a/b", 1));
  must(p.publish("a/b", 2));
  auto again = p.publish("a/b", 1);
  EXPECT_EQ(again->version, 1u);
  EXPECT_TRUE(again->existed);
  EXPECT_EQ(p.state.revision(), 3u);
}

TEST(names_state, names_compare_case_sensitively) {
  plane p;
  must(p.publish("a/b", 1));
  EXPECT_EQ(p.publish("A/b", 2)->version, 1u);
  EXPECT_EQ(p.state.list("").size(), 2u);
}

TEST(names_state, a_flip_moves_the_tag_by_compare_and_set) {
  plane p;
  must(p.publish("a", 1));
  must(p.publish("a", 2));
  auto first = p.flip("a", "prod", {{1, 10000}}, 0);
  ASSERT_TRUE(first) << first.error().to_string();
  auto second = p.flip("a", "prod", {{2, 10000}}, first->flips[0].revision);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->flips[0].before, (std::vector<part>{{1, 10000}}));
  auto late = p.flip("a", "prod", {{1, 10000}}, first->flips[0].revision);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind, kind::conflict);
  EXPECT_NE(late.error().message.find("ann moved it to 2:10000"), std::string::npos)
      << late.error().message;
  EXPECT_EQ(p.at("a@prod").parts[0].version.facts->number, 2u);
}

TEST(names_state, two_flips_that_saw_the_same_revision_in_one_batch_give_one_winner) {
  plane p;
  must(p.publish("a", 1));
  must(p.publish("a", 2));
  auto seen = p.flip("a", "prod", {{1, 10000}})->revision;
  for (std::uint64_t ticket : {7, 8})
    p.state.submit(ticket,
                   {"", "bob", "", flip_request{{{"a", "prod", {{2, 10000}}, seen}}, {}, false}});
  ASSERT_TRUE(p.state.next_batch(5000));
  auto done = p.state.committed();
  ASSERT_EQ(done.answers.size(), 2u);
  EXPECT_TRUE(done.answers[0].what);
  EXPECT_FALSE(done.answers[1].what);
  EXPECT_EQ(done.answers[1].what.error().kind, kind::conflict);
}

TEST(names_state, several_flips_happen_together_or_not_at_all) {
  plane p;
  for (const char* name : {"model", "tokens"})
    for (int v : {1, 2})
      must(p.publish(name, v));
  auto before = p.state.revision();
  flip_request bad{{{"model", "prod", {{2, 10000}}, std::nullopt},
                    {"tokens", "prod", {{9, 10000}}, std::nullopt}},
                   {},
                   false};
  EXPECT_EQ(p.ask({"", "ann", "", bad}).error().kind, kind::missing);
  EXPECT_EQ(p.state.revision(), before);
  EXPECT_FALSE(p.state.resolve(*parse_ref("model@prod")));
  auto good = bad;
  good.flips[1].split = {{1, 10000}};
  auto out = p.ask({"", "ann", "", good});
  ASSERT_TRUE(out);
  EXPECT_EQ(out->flips.size(), 2u);
  EXPECT_EQ(out->flips[0].revision, before + 1);
  EXPECT_EQ(out->flips[1].revision, before + 2);
  EXPECT_EQ(p.state.log()[before].group, p.state.log()[before + 1].group);
}

TEST(names_state, a_point_in_the_middle_of_a_transaction_shows_the_whole_of_it) {
  plane p;
  must(p.publish("m", 1));
  must(p.publish("t", 1));
  flip_request both{{{"m", "prod", {{1, 10000}}, 0}, {"t", "prod", {{1, 10000}}, 0}}, {}, false};
  auto out = p.ask({"", "ann", "", both});
  EXPECT_TRUE(p.state.at_revision("t", "prod", out->flips[0].revision));
  EXPECT_FALSE(p.state.at_revision("t", "prod", out->flips[0].revision - 1));
}

TEST(names_state, nobody_reads_a_flip_before_it_is_durable) {
  plane p;
  must(p.publish("a", 1));
  must(p.flip("a", "prod", {{1, 10000}}));
  must(p.publish("a", 2));
  p.state.submit(
      1, {"", "ann", "", flip_request{{{"a", "prod", {{2, 10000}}, std::nullopt}}, {}, false}});
  ASSERT_TRUE(p.state.next_batch(1));
  EXPECT_EQ(p.at("a@prod").parts[0].version.facts->number, 1u);
  EXPECT_FALSE(p.state.next_batch(2)) << "one batch at a time";
  (void)p.state.committed();
  EXPECT_EQ(p.at("a@prod").parts[0].version.facts->number, 2u);
}

TEST(names_state, a_batch_that_could_not_be_written_leaves_no_trace) {
  plane p;
  must(p.publish("a", 1));
  auto before = p.state.revision();
  p.state.submit(1, {"r1", "ann", "", flip_request{{{"a", "prod", {{1, 10000}}, 0}}, {}, false}});
  p.state.submit(2, {"", "ann", "", yank_request{"a", 9, false}});
  ASSERT_TRUE(p.state.next_batch(1));
  auto answers = p.state.refused(berth::fail(kind::overloaded, "storage_full", "full"));
  EXPECT_EQ(answers[0].what.error().code, "storage_full");
  EXPECT_EQ(answers[1].what.error().code, "no_such_version")
      << "what was refused for itself keeps its own reason";
  EXPECT_EQ(p.state.revision(), before);
  EXPECT_TRUE(p.flip("a", "prod", {{1, 10000}}, 0, "r1")) << "the same request can be made again";
}

TEST(names_state, a_retry_hears_the_first_outcome_and_changes_nothing) {
  plane p;
  auto made = p.publish("a", 1, "req-1");
  auto first = p.flip("a", "prod", {{1, 10000}}, 0, "req-2");
  must(p.publish("a", 2));
  must(p.flip("a", "prod", {{2, 10000}}));
  auto before = p.state.revision();
  EXPECT_EQ(p.publish("a", 1, "req-1")->version, made->version);
  auto again = p.flip("a", "prod", {{1, 10000}}, 0, "req-2");
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, *first);
  EXPECT_EQ(p.state.revision(), before);
  auto misused = p.flip("a", "prod", {{2, 10000}}, std::nullopt, "req-2");
  EXPECT_EQ(misused.error().code, "request_id_reused");
}

TEST(names_state, rollback_is_a_new_row_to_where_the_tag_was) {
  plane p;
  for (int v : {1, 2, 3})
    must(p.publish("a", v));
  auto one = p.flip("a", "prod", {{1, 10000}});
  must(p.flip("a", "prod", {{2, 10000}}));
  must(p.flip("a", "prod", {{3, 10000}}));
  auto back = p.ask({"", "ann", "oops", rollback_request{"a", "prod", std::nullopt, {}, false}});
  ASSERT_TRUE(back);
  EXPECT_EQ(back->flips[0].after, (std::vector<part>{{2, 10000}}));
  EXPECT_EQ(p.state.log().back().op, change_op::rollback);
  EXPECT_EQ(p.state.log().back().revision, p.state.revision());
  auto far = p.ask({"", "ann", "", rollback_request{"a", "prod", one->revision, {}, false}});
  EXPECT_EQ(far->flips[0].after, (std::vector<part>{{1, 10000}}));
  auto nowhere = p.ask({"", "ann", "", rollback_request{"a", "prod", 1, {}, false}});
  EXPECT_EQ(nowhere.error().kind, kind::missing);
}

TEST(names_state, rollback_to_a_yanked_version_is_refused) {
  plane p;
  for (int v : {1, 2})
    must(p.publish("a", v));
  must(p.flip("a", "prod", {{1, 10000}}));
  must(p.flip("a", "prod", {{2, 10000}}));
  must(p.yank("a", 1));
  auto back = p.ask({"", "ann", "", rollback_request{"a", "prod", std::nullopt, {}, false}});
  EXPECT_EQ(back.error().code, "yanked");
  must(p.yank("a", 1, true));
  EXPECT_TRUE(p.ask({"", "ann", "", rollback_request{"a", "prod", std::nullopt, {}, false}}));
}

TEST(names_state, yank_is_refused_while_a_tag_points_there_then_only_pinned_refs_reach_it) {
  plane p;
  for (int v : {1, 2})
    must(p.publish("a", v));
  must(p.flip("a", "prod", {{1, 5000}, {2, 5000}}));
  must(p.flip("a", "qa", {{1, 10000}}));
  auto refused = p.yank("a", 1);
  EXPECT_EQ(refused.error().kind, kind::conflict);
  EXPECT_NE(refused.error().message.find("prod, qa"), std::string::npos) << refused.error().message;
  must(p.flip("a", "prod", {{2, 10000}}));
  must(p.flip("a", "qa", {{2, 10000}}));
  EXPECT_TRUE(p.yank("a", 1));
  EXPECT_TRUE(p.at("a@1").parts[0].version.yanked);
  EXPECT_EQ(p.flip("a", "prod", {{1, 10000}}).error().code, "yanked");
  EXPECT_TRUE(p.yank("a", 1)->existed);
}

TEST(names_state, a_flip_that_would_break_a_bound_caller_names_program_and_field) {
  plane p;
  must(p.publish("a", 1));
  flip_request flip{{{"a", "prod", {{1, 10000}}, std::nullopt}},
                    {{"report.py (pid 7)", "a", "prod", "", "g()"},
                     {"fine", "a", "prod", "", "f("},
                     {"elsewhere", "a", "qa", "", "g()"}},
                    false};
  auto refused = p.ask({"", "ann", "", flip});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "would_break");
  EXPECT_NE(refused.error().message.find("report.py (pid 7)"), std::string::npos);
  EXPECT_NE(refused.error().message.find("field 'confidence'"), std::string::npos);
  EXPECT_EQ(refused.error().message.find("fine"), std::string::npos);
  flip.force = true;
  EXPECT_TRUE(p.ask({"", "ann", "", flip}));
}

TEST(names_state, resolves_by_tag_number_and_digest_and_offers_the_nearest_name) {
  plane p;
  for (int v : {1, 2})
    must(p.publish("digits/classify", v));
  must(p.flip("digits/classify", "prod", {{1, 9000}, {2, 1000}}));
  auto tagged = p.at("digits/classify@prod");
  EXPECT_EQ(tagged.parts.size(), 2u);
  EXPECT_EQ(tagged.layout.version_of(9999), 2u);
  EXPECT_EQ(p.at("digits/classify@2").parts[0].weight, 10000u);
  EXPECT_EQ(p.at("digits/classify@sha256:" + digest(2)).parts[0].version.facts->number, 2u);
  auto typo = p.state.resolve(*parse_ref("digits/clasify"));
  EXPECT_NE(typo.error().message.find("did you mean 'digits/classify'?"), std::string::npos);
  auto tag = p.state.resolve(*parse_ref("digits/classify@qa"));
  EXPECT_NE(tag.error().message.find("it has prod"), std::string::npos);
  EXPECT_EQ(p.state.resolve(*parse_ref("digits/classify@9")).error().code, "no_such_version");
}

TEST(names_state, history_and_at_tell_where_a_tag_was) {
  plane p;
  for (int v : {1, 2})
    must(p.publish("a", v));
  auto one = p.flip("a", "prod", {{1, 10000}})->revision;
  auto when = p.now;
  must(p.flip("a", "prod", {{2, 10000}}));
  EXPECT_EQ(p.state.at_revision("a", "prod", one)->split, (std::vector<part>{{1, 10000}}));
  EXPECT_EQ(p.state.at_time("a", "prod", when)->split, (std::vector<part>{{1, 10000}}));
  EXPECT_EQ(p.state.at_time("a", "prod", when + 100000)->split, (std::vector<part>{{2, 10000}}));
  EXPECT_EQ(p.state.at_time("a", "prod", 0).error().kind, kind::missing);
  auto page = p.state.history("a", "prod", 1);
  EXPECT_TRUE(page->cut);
  EXPECT_EQ(page->rows.at(0).after, (std::vector<part>{{2, 10000}}));
  EXPECT_EQ(p.state.history("a", "", 100)->rows.size(), 5u);
}

TEST(names_state, replaying_the_log_gives_the_same_answers_and_the_log_itself) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  plane p;
  for (int i = 0; i < 400; ++i) {
    std::string name(1, static_cast<char>('a' + random() % 3));
    std::uint32_t version = 1 + random() % 4;
    switch (random() % 4) {
      case 0:
        (void)p.publish(name, static_cast<int>(version));
        break;
      case 1:
        (void)p.flip(name, random() % 2 ? "prod" : "qa", {{version, 10000}}, std::nullopt,
                     std::to_string(i));
        break;
      case 2:
        (void)p.ask({"", "bob", "", rollback_request{name, "prod", std::nullopt, {}, false}});
        break;
      default:
        (void)p.yank(name, version, random() % 2);
    }
  }
  names_state again(prefix_check);
  for (const auto& row : p.rows)
    ASSERT_TRUE(again.replay(row)) << row.change.revision;
  ASSERT_EQ(again.revision(), p.state.revision());
  for (std::uint64_t r = 1; r <= again.revision(); ++r) {
    EXPECT_EQ(again.log()[r - 1], p.state.log()[r - 1]);
    EXPECT_EQ(again.log()[r - 1].revision, r);
  }
  for (const char* text : {"a@prod", "b@prod", "c@qa", "a@1"}) {
    auto mine = p.state.resolve(*parse_ref(text)), theirs = again.resolve(*parse_ref(text));
    ASSERT_EQ(mine.has_value(), theirs.has_value()) << text;
    if (mine) {
      EXPECT_EQ(mine->layout, theirs->layout) << text;
    }
  }
}

TEST(names_state, a_log_with_a_gap_is_refused) {
  plane p;
  for (int v : {1, 2})
    must(p.publish("a", v));
  names_state again(prefix_check);
  ASSERT_TRUE(again.replay(p.rows[0]));
  EXPECT_EQ(again.replay(p.rows[2]).error().code, "bad_log");
}

TEST(names_state, bad_names_tags_and_sizes_are_refused) {
  plane p;
  EXPECT_EQ(p.publish("a'; DROP TABLE version;--", 1).error().code, "bad_name");
  must(p.publish("a", 1));
  EXPECT_EQ(p.flip("a", "1", {{1, 10000}}).error().code, "bad_tag");
  EXPECT_EQ(p.flip("a", "prod", {{1, 1}}).error().code, "bad_split");
  EXPECT_EQ(p.ask({"", "ann", std::string(5000, 'x'), yank_request{"a", 1, false}}).error().code,
            "reason_too_long");
  EXPECT_EQ(p.ask({std::string(200, 'x'), "ann", "", yank_request{"a", 1, false}}).error().code,
            "bad_request_id");
  EXPECT_EQ(p.ask({"", "ann", "", flip_request{}}).error().code, "bad_transaction");
}

}  // namespace
