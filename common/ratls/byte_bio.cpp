// SPDX-License-Identifier: AGPL-3.0-only
#include "common/ratls/byte_bio.h"

#include "common/base/assert.h"

namespace eos::ratls {
namespace {

// A buffer that held this much is in the middle of something large, and kept for what follows. An
// idle connection, as most are most of the time, keeps none.
constexpr std::size_t kBulkBytes = 16 * 1024;

void empty(Bytes& buffer) {
    if (buffer.size() < kBulkBytes) buffer = Bytes();
    buffer.clear();
}

ByteBio& self(BIO* bio) {
    return *static_cast<ByteBio*>(BIO_get_data(bio));
}

int bio_read(BIO* bio, char* out, int size) {
    BIO_clear_retry_flags(bio);
    int count =
        self(bio).read(std::as_writable_bytes(std::span(out, static_cast<std::size_t>(size))));
    if (count > 0) return count;
    BIO_set_retry_read(bio);
    return -1;
}

int bio_write(BIO* bio, const char* data, int size) {
    BIO_clear_retry_flags(bio);
    self(bio).write(std::as_bytes(std::span(data, static_cast<std::size_t>(size))));
    return size;
}

long bio_control(BIO*, int command, long, void*) {
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

// One method table for the program's life; made on first use, never changed.
const BIO_METHOD* byte_bio_method() {
    static const BIO_METHOD* method = [] {
        BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "bytes");
        EOS_ASSERT(made && BIO_meth_set_read(made, bio_read) &&
                   BIO_meth_set_write(made, bio_write) && BIO_meth_set_ctrl(made, bio_control));
        return made;
    }();
    return method;
}

}  // namespace

ByteBio::ByteBio() : bio_(BIO_new(byte_bio_method())) {
    EOS_ASSERT(bio_ != nullptr);
    BIO_set_data(bio_, this);
    BIO_set_init(bio_, 1);
}

ByteBio::~ByteBio() {
    BIO_free(bio_);
}

void ByteBio::receive(ByteView bytes) {
    append(input_, bytes);
}

void ByteBio::output_taken(std::size_t count) {
    EOS_ASSERT(count <= output().size());
    output_taken_ += count;
    if (output_taken_ == output_.size()) {
        empty(output_);
        output_taken_ = 0;
    }
}

int ByteBio::read(MutableByteView out) {
    std::size_t count = std::min(out.size(), unread_bytes());
    std::copy_n(input_.begin() + static_cast<std::ptrdiff_t>(input_read_), count, out.begin());
    input_read_ += count;
    if (input_read_ == input_.size()) {
        empty(input_);
        input_read_ = 0;
    }
    return static_cast<int>(count);
}

}  // namespace eos::ratls
