#pragma once
// Connection core: what all copies of a connection share.

#include "runtime/client/find_cluster.hpp"
#include "runtime/client/head_directory.hpp"
#include "runtime/client/session.hpp"

#include <berth/client.hpp>
#include <memory>

namespace berth::detail {

class connection_core {
 public:
  connection_core(std::shared_ptr<client::session> session,
                  std::shared_ptr<client::head_link> head,
                  client::found_cluster where)
      : session(std::move(session)), head(std::move(head)), where(std::move(where)) {}

  const std::shared_ptr<client::session> session;
  const std::shared_ptr<client::head_link> head;  ///< null for a session without a head (tests)
  const client::found_cluster where;
};

}  // namespace berth::detail
