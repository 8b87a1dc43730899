import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import javax.xml.XMLConstants;
import javax.xml.transform.Source;
import javax.xml.transform.stream.StreamSource;
import javax.xml.validation.Schema;
import javax.xml.validation.SchemaFactory;
import org.w3c.dom.bootstrap.DOMImplementationRegistry;
import org.w3c.dom.ls.DOMImplementationLS;
import org.w3c.dom.ls.LSInput;

/** The schemas that the jars hold: each line of the input is a name of SCHEMAS, a tab and a file. */
public class Schemas {
  static final Map<String, String[]> SCHEMAS = Map.of(
      "XDS.b", new String[] {"/wsdl/schema/IHE/IHEXDSB.xsd"},
      "lcm", new String[] {"/wsdl/schema/ebRS30/lcm.xsd"},
      "query", new String[] {"/wsdl/schema/ebRS30/query.xsd"},
      "XMLDSig", new String[] {"/schema/w3c/xmldsig/xmldsig-core-schema.xsd"},
      "SAML", new String[] {"/schema/w3c/xmldsig/xmldsig-core-schema.xsd", "/schema/w3c/xmlenc/xenc-schema.xsd",
          "/schema/saml/v2/saml-schema-assertion-2.0.xsd"});
  static final Map<String, String> WEB = Map.of(
      "xmldsig-core-schema.xsd", "/schema/w3c/xmldsig/xmldsig-core-schema.xsd",
      "xenc-schema.xsd", "/schema/w3c/xmlenc/xenc-schema.xsd",
      "xml.xsd", "/schema/w3c/xmlschema/xml.xsd");
  static final DOMImplementationLS LOADER;
  static final Map<String, Schema> COMPILED = new HashMap<>();

  static {
    try {
      LOADER = (DOMImplementationLS) DOMImplementationRegistry.newInstance().getDOMImplementation("LS");
    } catch (ReflectiveOperationException fault) {
      throw new ExceptionInInitializerError(fault);
    }
  }

  public static void main(String[] arguments) throws Exception {
    BufferedReader questions = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line; (line = questions.readLine()) != null; ) {
      String[] question = line.split("\t");
      String verdict = "ok";
      Schema schema = COMPILED.get(question[0]);
      if (schema == null) COMPILED.put(question[0], schema = compiled(SCHEMAS.get(question[0])));
      try {
        schema.newValidator().validate(new StreamSource(new File(question[1])));
      } catch (org.xml.sax.SAXException fault) {
        verdict = fault.getMessage().replaceAll("\\s+", " ");
      }
      System.out.println(verdict);
    }
  }

  static Schema compiled(String[] names) throws Exception {
    Source[] sources = Arrays.stream(names)
        .map(name -> new StreamSource(Schemas.class.getResource(name).toString())).toArray(Source[]::new);
    SchemaFactory factory = SchemaFactory.newInstance(XMLConstants.W3C_XML_SCHEMA_NS_URI);
    // two files of IPF share the namespace of XDS.b, and import each other's types through rim.xsd
    factory.setFeature("http://apache.org/xml/features/honour-all-schemaLocations", true);
    factory.setResourceResolver(Schemas::resolved);
    return factory.newSchema(sources);
  }

  /** What a schema names by an address of the web is taken from the jars; the DTD of schemas is not needed. */
  static LSInput resolved(String type, String namespace, String publicId, String systemId, String base) {
    if (systemId == null || !systemId.startsWith("http")) return null;
    String name = systemId.substring(systemId.lastIndexOf('/') + 1);
    LSInput input = LOADER.createLSInput();
    input.setSystemId(systemId);
    if (name.endsWith(".dtd")) {
      input.setCharacterStream(new StringReader(""));
      return input;
    }
    String held = WEB.get(name);
    if (held == null) throw new IllegalStateException("no jar holds " + systemId);
    input.setByteStream(Schemas.class.getResourceAsStream(held));
    return input;
  }
}
