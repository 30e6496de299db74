/* What is heard of a kernel's words about nftables, byte by byte. */
#include "monitor.h"
#include "test.h"

#include "cleanup.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#define OWN   4711u
#define OTHER 815u

static _Alignas(struct nlmsghdr) char bytes[4096];
static size_t length;

static struct nlmsghdr *add(uint16_t type, uint8_t family, uint32_t port)
{
    struct nlmsghdr *message = mnl_nlmsg_put_header(bytes + length);
    message->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
    message->nlmsg_pid = port;
    struct nfgenmsg *header = mnl_nlmsg_put_extra_header(message, sizeof *header);
    *header = (struct nfgenmsg){.nfgen_family = family};
    return message;
}

static void end(struct nlmsghdr *message)
{
    length += MNL_ALIGN(message->nlmsg_len);
}

static void add_in(uint16_t type, uint8_t family, uint32_t port, const char *table)
{
    struct nlmsghdr *message = add(type, family, port);
    mnl_attr_put_strz(message, NFTA_TABLE_NAME, table);
    end(message);
}

static void add_generation(uint32_t port, uint32_t pid, const char *name)
{
    struct nlmsghdr *message = add(NFT_MSG_NEWGEN, NFPROTO_UNSPEC, port);
    mnl_attr_put_u32(message, NFTA_GEN_ID, htonl(7));
    mnl_attr_put_u32(message, NFTA_GEN_PROC_PID, htonl(pid));
    mnl_attr_put_strz(message, NFTA_GEN_PROC_NAME, name);
    end(message);
}

/* What is heard of all that was added; then there is nothing again. */
static struct firewall_change heard(void)
{
    struct firewall_change change = {0};
    monitor_parse(bytes, length, OWN, &change);
    memset(bytes, 0, sizeof bytes);
    length = 0;
    return change;
}

static void all_that_can_be_done_to_a_table(void)
{
    static const uint16_t types[] = {
        NFT_MSG_NEWTABLE, NFT_MSG_DELTABLE, NFT_MSG_NEWCHAIN,   NFT_MSG_DELCHAIN,
        NFT_MSG_NEWRULE,  NFT_MSG_DELRULE,  NFT_MSG_NEWSET,     NFT_MSG_DELSET,
        NFT_MSG_NEWOBJ,   NFT_MSG_DELOBJ,   NFT_MSG_NEWSETELEM, NFT_MSG_DELSETELEM,
    };
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        add_in(types[i], NFPROTO_INET, OTHER, "cdss");
        CHECK(heard().changed);
        add_in(types[i], NFPROTO_INET, OWN, "cdss");
        CHECK(!heard().changed);
        add_in(types[i], NFPROTO_IPV4, OTHER, "cdss");
        CHECK(!heard().changed);
        add_in(types[i], NFPROTO_INET, OTHER, "cdss2");
        CHECK(!heard().changed);
        add_in(types[i], NFPROTO_INET, OTHER, "cds");
        CHECK(!heard().changed);
    }
}

static void who_it_was(void)
{
    add_in(NFT_MSG_DELTABLE, NFPROTO_INET, OTHER, "filter");
    add_in(NFT_MSG_DELTABLE, NFPROTO_INET, OTHER, "cdss");
    add_generation(OTHER, 99, "nft");
    struct firewall_change change = heard();
    CHECK(change.changed && change.pid == 99 && !change.lost);
    CHECK_TEXT(change.name, "nft");

    add_in(NFT_MSG_DELTABLE, NFPROTO_INET, OTHER, "filter");
    add_generation(OTHER, 99, "nft");
    change = heard();
    CHECK(!change.changed && change.pid == 0);

    /* the first of several; and a name that does not fit */
    add_generation(OTHER, 98, "before");
    add_in(NFT_MSG_DELRULE, NFPROTO_INET, OTHER, "cdss");
    add_generation(OTHER, 99, "a-name-that-is-longer-than-any");
    add_generation(OTHER, 100, "after");
    change = heard();
    CHECK(change.changed && change.pid == 99);
    CHECK_TEXT(change.name, "a-name-that-is-");

    add_in(NFT_MSG_DELRULE, NFPROTO_INET, OWN, "cdss");
    add_generation(OWN, 99, "cdssd");
    CHECK(!heard().changed);
}

static void odd_messages(void)
{
    struct nlmsghdr *message;
    /* no attribute at all; no name; a name without its end; an empty one; another subsystem */
    message = add(NFT_MSG_DELTABLE, NFPROTO_INET, OTHER);
    end(message);
    message = add(NFT_MSG_DELTABLE, NFPROTO_INET, OTHER);
    mnl_attr_put_strz(message, NFTA_TABLE_USE, "cdss");
    end(message);
    message = add(NFT_MSG_DELTABLE, NFPROTO_INET, OTHER);
    mnl_attr_put(message, NFTA_TABLE_NAME, 4, "cdss");
    end(message);
    message = add(NFT_MSG_DELTABLE, NFPROTO_INET, OTHER);
    mnl_attr_put(message, NFTA_TABLE_NAME, 0, "");
    end(message);
    message = add(NFT_MSG_DELTABLE, NFPROTO_INET, OTHER);
    message->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | NFT_MSG_DELTABLE;
    mnl_attr_put_strz(message, NFTA_TABLE_NAME, "cdss");
    end(message);
    CHECK(!heard().changed);

    /* an attribute that says to be longer than its message */
    message = add(NFT_MSG_DELTABLE, NFPROTO_INET, OTHER);
    mnl_attr_put_strz(message, NFTA_TABLE_NAME, "cdss");
    ((struct nlattr *)mnl_nlmsg_get_payload_offset(message, sizeof(struct nfgenmsg)))->nla_len = 60;
    end(message);
    CHECK(!heard().changed);

    /* a header alone, and a message that ends before its header does */
    message = mnl_nlmsg_put_header(bytes);
    message->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE;
    length = message->nlmsg_len;
    CHECK(!heard().changed);
    memset(bytes, 0xff, sizeof bytes);
    length = 3;
    CHECK(!heard().changed);
    memset(bytes, 0xff, sizeof bytes);
    length = sizeof bytes;
    CHECK(!heard().changed);
}

/* Every cut of a good message, and every byte of it changed to some others. */
static void every_byte(void)
{
    add_in(NFT_MSG_DELTABLE, NFPROTO_INET, OTHER, "cdss");
    add_generation(OTHER, 99, "nft");
    char good[sizeof bytes];
    size_t most = length;
    memcpy(good, bytes, most);
    for (size_t i = 0; i < most; i++) {
        static const unsigned char others[] = {0, 1, 4, 0x7f, 0x80, 0xff};
        memcpy(bytes, good, most);
        length = i;
        heard();
        for (size_t j = 0; j < sizeof others; j++) {
            memcpy(bytes, good, most);
            bytes[i] = (char)others[j];
            length = most;
            struct firewall_change change = heard();
            CHECK(memchr(change.name, 0, sizeof change.name) != NULL);
        }
    }
}

TEST_MAIN({"all that can be done to a table", all_that_can_be_done_to_a_table},
          {"who it was", who_it_was}, {"odd messages", odd_messages}, {"every byte", every_byte})
